"""Publications in JSON for subscriptions with deltas: their data is always a string, of the payload or of a delta.

So a client parses what it has put together, and one that is shown a payload whole need not tell it from a delta by its
looks (client protocol: delta compression).
"""

from __future__ import annotations

import orjson

from warren_gateway.domain.encoding import NOTHING
from warren_gateway.domain.fossil import delta_of
from warren_gateway.domain.json_pushes import JsonPushHead, rest_of
from warren_gateway.domain.publications import Publication

_DATA = b'{"data":'
_DELTA = b',"delta":true'


def whole_publication(publication: Publication) -> bytes:
    """Return a Publication whose data is the payload as a string, NOTHING if it is no JSON."""
    if publication.binary and not publication.is_json:
        return NOTHING
    return b"".join((_DATA, _string(publication.data), rest_of(publication), b"}"))


def delta_publication(publication: Publication) -> bytes:
    """Return a Publication whose data is a delta, or the payload if there is nothing before it or that is less."""
    if publication.previous is None or (publication.binary and not publication.is_json):
        return whole_publication(publication)
    try:
        delta = _string(delta_of(publication.previous, publication.data, text=True))
    except UnicodeDecodeError:  # what was before is no text
        return whole_publication(publication)
    if len(delta) >= len(publication.data):
        return whole_publication(publication)
    return b"".join((_DATA, delta, _DELTA, rest_of(publication), b"}"))


def _string(text: bytes) -> bytes:
    return orjson.dumps(text.decode())


class JsonDeltaPushHead(JsonPushHead):
    """Pushes for those who get deltas. Each publication is made once for all its readers."""

    __slots__ = ("_encoding", "_whole")

    def __init__(self, channel: str, encoding: object, *, whole: bool) -> None:
        super().__init__(channel)
        self._encoding, self._whole = encoding, whole

    def publication(self, publication: Publication) -> bytes:
        encoded = publication.once(self._encoding, whole_publication if self._whole else delta_publication)
        return b"".join((self._head, b',"pub":', encoded, b"}}")) if encoded else NOTHING
