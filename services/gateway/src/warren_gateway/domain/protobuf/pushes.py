"""Publications, joins and leaves as Protobuf.

A channel's pushes are put together by hand: the channel is encoded once, and a publication is
encoded by the generated class and then only wrapped.
"""

from __future__ import annotations

from typing import Final

import msgspec
from google.protobuf.message import EncodeError

from warren_gateway.domain.encoding import NOTHING
from warren_gateway.domain.protobuf import client_pb2 as pb
from warren_gateway.domain.protobuf.wire import field
from warren_gateway.domain.publications import Publication

_REPLY_PUSH: Final = pb.Reply.PUSH_FIELD_NUMBER
_CHANNEL: Final = pb.Push.CHANNEL_FIELD_NUMBER
_PUB: Final = pb.Push.PUB_FIELD_NUMBER
_JOIN: Final = pb.Push.JOIN_FIELD_NUMBER
_LEAVE: Final = pb.Push.LEAVE_FIELD_NUMBER
UNWRITABLE: Final = (EncodeError, ValueError, TypeError)
"""What the generated classes raise for a number out of range, or a text that is no UTF-8."""


class _Info(msgspec.Struct, gc=False):
    """A ClientInfo in JSON; what users and clients are told of is kept as the JSON it is."""

    user: str = ""
    client: str = ""
    conn_info: msgspec.Raw = msgspec.Raw()
    chan_info: msgspec.Raw = msgspec.Raw()


_decode_info: Final = msgspec.json.Decoder(_Info).decode


class ProtobufPushHead:
    """The part that all pushes of one channel begin with. Implements PushHead."""

    __slots__ = ("_channel",)

    def __init__(self, channel: str) -> None:
        self._channel = field(_CHANNEL, channel.encode())

    def publication(self, publication: Publication) -> bytes:
        encoded = protobuf_publication(publication)
        return self.of_publication(encoded) if encoded else NOTHING

    def of_publication(self, encoded: bytes) -> bytes:
        """Return the push of an encoded Publication."""
        return field(_REPLY_PUSH, self._channel + field(_PUB, encoded))

    def join(self, info: bytes) -> bytes:
        return self._about(_JOIN, pb.Join(info=client_info_of(info)))

    def leave(self, info: bytes) -> bytes:
        return self._about(_LEAVE, pb.Leave(info=client_info_of(info)))

    def _about(self, number: int, what: pb.Join | pb.Leave) -> bytes:
        if not what.HasField("info"):
            return NOTHING
        return field(_REPLY_PUSH, self._channel + field(number, what.SerializeToString()))


def protobuf_publication(publication: Publication, data: bytes | None = None) -> bytes:
    """Return a protocol Publication; ``data`` is what it has in place of its payload."""
    return pb.Publication(
        data=publication.data if data is None else data,
        info=None if publication.info is None else client_info_of(publication.info),
        offset=publication.offset,
        tags=publication.tags or None,
        time=publication.time,
        channel=publication.channel,
    ).SerializeToString()


def client_info_of(info: bytes) -> pb.ClientInfo | None:
    """Return a ClientInfo that services passed on in JSON; None for what is none."""
    try:
        read = _decode_info(info)
        return pb.ClientInfo(
            user=read.user, client=read.client, conn_info=bytes(read.conn_info), chan_info=bytes(read.chan_info)
        )
    except (msgspec.MsgspecError, RecursionError, *UNWRITABLE):
        return None
