"""From messages to frames; what repeats is encoded once."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from pamqp import base, heartbeat
from pamqp import frame as pamqp_frame

from warren_shared.messaging.lane.decoder import FRAME_OVERHEAD
from warren_shared.messaging.lane.properties import encode_properties, short_string
from warren_shared.messaging.port import Outgoing, UnsendableMessageError

HEARTBEAT: Final[bytes] = heartbeat.Heartbeat().marshal()
_FRAME = struct.Struct(">BHI")
_HEADER_START = struct.Struct(">BHIHHQ")
_BODY_START = struct.Struct(">BBHI")
_CONTENT_BYTES: Final = 12
"""What stands before the flags in a content header (AMQP 0-9-1 section 4.2.6.1)."""
_ACK = struct.Struct(">BHIIQBB")
_METHOD, _HEADER, _BODY, _END = 1, 2, 3, 0xCE
_BASIC, _PUBLISH_INDEX, _ACK_INDEX = 60, b"\x00\x3c\x00\x28\x00\x00", 0x003C0050
_FRAME_END: Final = b"\xce"
_CACHED_ROUTES: Final = 4096


class Encoder:
    """Encodes for one connection, whose frames are at most ``frame_max`` bytes long."""

    def __init__(self, frame_max: int) -> None:
        self._largest_part = frame_max - FRAME_OVERHEAD
        self._routes: dict[tuple[int, str, str], bytes] = {}

    def publish(self, number: int, message: Outgoing) -> bytes:
        """Return the frames of one Basic.Publish.

        Raises UnsendableMessageError for what AMQP cannot carry.
        """
        try:
            route = self._routes.get((number, message.exchange, message.routing_key))
            if route is None or message.mandatory:
                route = self._route(number, message)
            properties = encode_properties(message)
        except (TypeError, ValueError, OverflowError, struct.error) as error:
            raise UnsendableMessageError(f"the message cannot be encoded: {error}") from error
        content = _CONTENT_BYTES + len(properties)
        if content > self._largest_part:
            raise UnsendableMessageError("the message's headers do not fit into one frame")
        body = message.body
        size = len(body)
        header = _HEADER_START.pack(_HEADER, number, content, _BASIC, 0, size)
        if 0 < size <= self._largest_part:
            return b"".join((route, header, properties, _BODY_START.pack(_END, _BODY, number, size), body, _FRAME_END))
        return b"".join((route, header, properties, *self._parts(number, body), _FRAME_END))

    def _parts(self, number: int, body: bytes) -> Iterator[bytes]:
        """Cut a body into frames; the end of the last is left to the caller, the end before the first is here."""
        for start in range(0, len(body), self._largest_part):
            part = body[start : start + self._largest_part]
            yield _BODY_START.pack(_END, _BODY, number, len(part))
            yield part

    def _route(self, number: int, message: Outgoing) -> bytes:
        payload = _PUBLISH_INDEX + short_string(message.exchange) + short_string(message.routing_key)
        payload += b"\x01" if message.mandatory else b"\x00"
        route = _FRAME.pack(_METHOD, number, len(payload)) + payload + _FRAME_END
        if message.mandatory:
            return route
        if len(self._routes) >= _CACHED_ROUTES:
            self._routes.clear()
        self._routes[number, message.exchange, message.routing_key] = route
        return route


def ack(number: int, tag: int, *, multiple: bool) -> bytes:
    """Return the frame of a Basic.Ack."""
    return _ACK.pack(_METHOD, number, 13, _ACK_INDEX, tag, multiple, _END)


def method(number: int, frame: base.Frame) -> bytes:
    """Return the frame of a rare method."""
    return pamqp_frame.marshal(frame, number)
