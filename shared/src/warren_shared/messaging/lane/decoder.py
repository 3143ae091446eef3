"""From bytes to what they say: whole reads are taken apart in one pass.

Frames (AMQP 0-9-1 section 4.2.3) may be cut anywhere between two reads. Deliveries, confirms and
returns are read here; every other method is pamqp's.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final, cast

from pamqp import base, commands, exceptions
from pamqp import frame as pamqp_frame

from warren_shared.messaging.lane.errors import FRAME_ERROR, SYNTAX_ERROR, UNEXPECTED_FRAME, FrameError
from warren_shared.messaging.lane.properties import Properties, decode_properties
from warren_shared.messaging.port import Delivery

LARGEST_BODY: Final = 512 * 1024 * 1024
"""RabbitMQ's own limit of a message's size."""

FRAME_OVERHEAD: Final = 8
_METHOD, _HEADER, _BODY, _HEARTBEAT = 1, 2, 3, 8
_FRAME_END: Final = 0xCE
_FRAME = struct.Struct(">BHI")
_INDEX = struct.Struct(">I")
_TAG_AND_BITS = struct.Struct(">QB")
_REPLY_CODE = struct.Struct(">H")
_CONTENT = struct.Struct(">HHQ")
_BASIC: Final = 60
_DELIVER, _ACK, _NACK, _RETURN = 0x003C003C, 0x003C0050, 0x003C0078, 0x003C0032
_MULTIPLE: Final = 1
_RARE: Final[tuple[type[base.Frame], ...]] = (
    commands.Connection.Start,
    commands.Connection.Tune,
    commands.Connection.OpenOk,
    commands.Connection.Close,
    commands.Connection.CloseOk,
    commands.Connection.Blocked,
    commands.Connection.Unblocked,
    commands.Channel.OpenOk,
    commands.Channel.Flow,
    commands.Channel.Close,
    commands.Channel.CloseOk,
    commands.Exchange.DeclareOk,
    commands.Exchange.BindOk,
    commands.Exchange.UnbindOk,
    commands.Queue.DeclareOk,
    commands.Queue.BindOk,
    commands.Queue.UnbindOk,
    commands.Basic.QosOk,
    commands.Basic.ConsumeOk,
    commands.Basic.Cancel,
    commands.Confirm.SelectOk,
)
_FROM_BROKERS: Final = frozenset(method.index for method in _RARE)


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The broker confirmed, or refused, one message or all up to it (RabbitMQ: Publisher Confirms)."""

    tag: int
    multiple: bool
    positive: bool


@dataclass(frozen=True, slots=True)
class Returned:
    """The broker gives back a mandatory message it could not route."""

    code: int
    text: str
    delivery: Delivery


Event = Delivery | Confirmed | Returned | base.Frame


class _Content:
    """A message of which parts are still to come."""

    __slots__ = ("exchange", "key", "missing", "parts", "properties", "redelivered", "returned", "tag")

    def __init__(self, exchange: str, key: str, tag: int, *, redelivered: bool) -> None:
        self.exchange, self.key, self.tag, self.redelivered = exchange, key, tag, redelivered
        self.returned: tuple[int, str] | None = None
        self.properties: Properties | None = None
        self.missing = 0
        self.parts: list[bytes] = []

    def finished(self, body: bytes) -> Event:
        assert self.properties is not None  # noqa: S101 - a content is finished by what follows its header
        delivery = Delivery(self.exchange, self.key, body, *self.properties, self.redelivered, self.tag)
        return delivery if self.returned is None else Returned(*self.returned, delivery)


class Decoder:
    """Takes bytes, returns events; each with the number of its amqp channel, in the order they came.

    What it holds is bounded by one frame and, for each amqp channel, by one body of LARGEST_BODY.
    """

    def __init__(self, frame_max: int) -> None:
        """``frame_max`` bounds a whole frame, as negotiated."""
        self.frame_max = frame_max
        self._held: list[bytes] = []
        self._held_size = 0
        self._needed = FRAME_OVERHEAD
        """Bytes with which there is a frame to look at."""
        self._contents: dict[int, _Content] = {}

    def feed(self, data: bytes) -> list[tuple[int, Event]]:
        """Take what was read and return what is complete. Raises FrameError; then nothing more can be fed."""
        if self._held or len(data) < self._needed:
            self._held.append(data)
            self._held_size += len(data)
            if self._held_size < self._needed:
                return []
            data = b"".join(self._held)
            self._held.clear()
            self._held_size = 0
        events: list[tuple[int, Event]] = []
        try:
            self._take(data, events)
        except (IndexError, struct.error, ValueError) as error:
            raise FrameError(SYNTAX_ERROR, f"malformed frame: {error}") from error
        return events

    def _take(self, data: bytes, events: list[tuple[int, Event]]) -> None:
        at, length = 0, len(data)
        while length - at >= FRAME_OVERHEAD:
            kind, number, size = _FRAME.unpack_from(data, at)
            if size > self.frame_max - FRAME_OVERHEAD:
                raise FrameError(FRAME_ERROR, f"a frame of {size} bytes; {self.frame_max} were agreed on")
            start = at + 7
            end = start + size
            if end >= length:
                break
            if data[end] != _FRAME_END:
                raise FrameError(FRAME_ERROR, "a frame does not end as frames do")
            if kind == _METHOD:
                event = self._method(number, data, start, end)
            elif kind == _HEADER:
                event = self._header(number, data, start, end)
            elif kind == _BODY:
                event = self._body(number, data[start:end])
            else:
                event = self._other(kind)
            if event is not None:
                events.append((number, event))
            at = end + 1
        self._hold(data[at:])

    @staticmethod
    def _other(kind: int) -> Event | None:
        if kind != _HEARTBEAT:
            raise FrameError(FRAME_ERROR, f"a frame of unknown type {kind}")
        return None

    def _hold(self, rest: bytes) -> None:
        self._needed = FRAME_OVERHEAD if len(rest) < FRAME_OVERHEAD else _FRAME.unpack_from(rest)[2] + FRAME_OVERHEAD
        if rest:
            self._held.append(rest)
            self._held_size = len(rest)

    def _method(self, number: int, data: bytes, start: int, end: int) -> Event | None:
        if end - start < _INDEX.size:
            raise FrameError(SYNTAX_ERROR, "a method frame without a method")
        if number in self._contents:
            raise FrameError(UNEXPECTED_FRAME, "a method before a content was complete")
        (index,) = _INDEX.unpack_from(data, start)
        if index == _DELIVER:
            self._contents[number] = _deliver(data, start + 4, end)
            return None
        if index in (_ACK, _NACK):
            tag, bits = _TAG_AND_BITS.unpack_from(data, start + 4)
            if start + 13 != end:
                raise FrameError(SYNTAX_ERROR, "a confirm of wrong length")
            return Confirmed(tag, bool(bits & _MULTIPLE), index == _ACK)
        if index == _RETURN:
            self._contents[number] = _return(data, start + 4, end)
            return None
        if index not in _FROM_BROKERS:
            raise FrameError(SYNTAX_ERROR, f"no method that brokers send: {index:#010x}")
        return _rare(data[start - 7 : end + 1])

    def _header(self, number: int, data: bytes, start: int, end: int) -> Event | None:
        content = self._contents.get(number)
        if content is None or content.properties is not None:
            raise FrameError(UNEXPECTED_FRAME, "a content header without a message")
        frame_class, _, size = _CONTENT.unpack_from(data, start)
        if frame_class != _BASIC or size > LARGEST_BODY:
            raise FrameError(SYNTAX_ERROR, f"a content of class {frame_class} and {size} bytes")
        content.properties = decode_properties(data, start + _CONTENT.size, end)
        content.missing = size
        if size:
            return None
        del self._contents[number]
        return content.finished(b"")

    def _body(self, number: int, part: bytes) -> Event | None:
        content = self._contents.get(number)
        if content is None or content.properties is None:
            raise FrameError(UNEXPECTED_FRAME, "a body without a content header")
        content.missing -= len(part)
        if content.missing < 0:
            raise FrameError(SYNTAX_ERROR, "a body longer than was announced")
        if content.missing:
            content.parts.append(part)
            return None
        del self._contents[number]
        if content.parts:
            content.parts.append(part)
            part = b"".join(content.parts)
        return content.finished(part)


def _deliver(data: bytes, at: int, end: int) -> _Content:
    at += 1 + data[at]  # the consumer's tag: an amqp channel has one consumer here
    tag, redelivered = _TAG_AND_BITS.unpack_from(data, at)
    exchange, key = _two_strings(data, at + _TAG_AND_BITS.size, end)
    return _Content(exchange, key, tag, redelivered=bool(redelivered & 1))


def _return(data: bytes, at: int, end: int) -> _Content:
    (code,) = _REPLY_CODE.unpack_from(data, at)
    start = at + 3
    at = start + data[at + 2]
    text = data[start:at].decode("utf-8", "backslashreplace")
    content = _Content(*_two_strings(data, at, end), 0, redelivered=False)
    content.returned = code, text
    return content


def _two_strings(data: bytes, at: int, end: int) -> tuple[str, str]:
    start = at + 1
    middle = start + data[at]
    last = middle + 1 + data[middle]
    if last != end:
        raise FrameError(SYNTAX_ERROR, "a method of wrong length")
    first = data[start:middle].decode("utf-8", "backslashreplace")
    return first, data[middle + 1 : last].decode("utf-8", "backslashreplace")


def _rare(frame: bytes) -> base.Frame:
    try:
        _, _, method = pamqp_frame.unmarshal(frame)
    except (exceptions.UnmarshalingException, ValueError, IndexError, struct.error, OverflowError) as error:
        raise FrameError(SYNTAX_ERROR, f"a method that cannot be read: {error}") from error
    return cast("base.Frame", method)
