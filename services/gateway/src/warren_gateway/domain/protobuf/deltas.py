"""Publications in Protobuf for subscriptions with deltas: their data are the bytes of the payload or of a delta."""

from __future__ import annotations

from warren_gateway.domain.encoding import NOTHING
from warren_gateway.domain.fossil import delta_of
from warren_gateway.domain.protobuf import client_pb2 as pb
from warren_gateway.domain.protobuf.pushes import ProtobufPushHead, protobuf_publication
from warren_gateway.domain.publications import Publication

_DELTA = pb.Publication(delta=True).SerializeToString()
"""Put behind a Publication, which in Protobuf is the same as having it inside."""


def delta_publication(publication: Publication) -> bytes:
    """Return a Publication whose data is a delta, or the payload if there is nothing before it or that is less."""
    if publication.previous is None:
        return protobuf_publication(publication)
    delta = delta_of(publication.previous, publication.data)
    if len(delta) >= len(publication.data):
        return protobuf_publication(publication)
    return protobuf_publication(publication, delta) + _DELTA


class ProtobufDeltaPushHead(ProtobufPushHead):
    """Pushes for those who get deltas. Each publication is made once for all its readers."""

    __slots__ = ("_encoding",)

    def __init__(self, channel: str, encoding: object) -> None:
        super().__init__(channel)
        self._encoding = encoding

    def publication(self, publication: Publication) -> bytes:
        encoded = publication.once(self._encoding, delta_publication)
        return self.of_publication(encoded) if encoded else NOTHING
