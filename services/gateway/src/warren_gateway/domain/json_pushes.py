"""Publications, joins and leaves as JSON of the client protocol (its push and Publication objects).

A payload is embedded as it came, never parsed and written again; only literal line feeds are taken
out, because they separate messages in a frame.
"""

from __future__ import annotations

from typing import Final

import orjson

from warren_gateway.domain.client_info import one_line
from warren_gateway.domain.encoding import NOTHING
from warren_gateway.domain.publications import Publication

_END: Final = b"}}}"
_ALONE: Final = b'{"data":'


class JsonPushHead:
    """The part that all pushes of one channel begin with. Implements PushHead."""

    __slots__ = ("_head", "_publication")

    def __init__(self, channel: str) -> None:
        self._head = b'{"push":{"channel":' + orjson.dumps(channel)
        self._publication = self._head + b',"pub":{"data":'

    def publication(self, publication: Publication) -> bytes:
        if publication.binary and not publication.is_json:
            return NOTHING
        data = publication.data
        return b"".join((self._publication, one_line(data) if b"\n" in data else data, rest_of(publication), _END))

    def join(self, info: bytes) -> bytes:
        return b"".join((self._head, b',"join":{"info":', info, _END))

    def leave(self, info: bytes) -> bytes:
        return b"".join((self._head, b',"leave":{"info":', info, _END))


def json_publication(publication: Publication) -> bytes:
    """Return a protocol Publication object, NOTHING if its payload is no JSON."""
    if publication.binary and not publication.is_json:
        return NOTHING
    return b"".join((_ALONE, one_line(publication.data), rest_of(publication), b"}"))


def rest_of(publication: Publication) -> bytes:
    """Return what comes behind the payload; what is empty is left out, as the client protocol wants."""
    rest = b""
    if publication.info:
        rest = b',"info":' + publication.info
    if publication.offset:
        rest += b',"offset":%d' % publication.offset
    if publication.tags:
        rest += b',"tags":' + orjson.dumps(publication.tags)
    if publication.time:
        rest += b',"time":%d' % publication.time
    if publication.channel:
        rest += b',"channel":' + orjson.dumps(publication.channel)
    return rest
