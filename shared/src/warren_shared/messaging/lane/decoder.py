"""From bytes to what they say: whole reads are taken apart in one pass.

Frames (AMQP 0-9-1 section 4.2.3) may be cut anywhere between two reads. Deliveries, confirms and
returns are read here; every other method is pamqp's. Nearly all that arrives are deliveries of three whole
frames, one after the other: those are taken in one loop. Whatever is not so is taken frame by frame.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final, NamedTuple, cast

from pamqp import base, commands, exceptions
from pamqp import frame as pamqp_frame

from warren_shared.messaging.lane.delivery import ReadDelivery
from warren_shared.messaging.lane.errors import FRAME_ERROR, SYNTAX_ERROR, UNEXPECTED_FRAME, FrameError

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
_LEAST_CONTENT: Final = _CONTENT.size + 2
"""Bytes of a content header without properties: their flags are always there."""
_WHOLE_METHOD = struct.Struct(">BHII")
_WHOLE_HEADER = struct.Struct(">IIHxxQ")
_WHOLE_BODY = struct.Struct(">II")
_THEN_HEADER, _THEN_BODY = 0xCE020000, 0xCE030000
"""A frame's end, the type of the one behind it, and room for the number of the amqp channel."""
_CACHED_ROUTES: Final = 4096
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
_UNREADABLE_AS: Final = (
    exceptions.UnmarshalingException,
    ValueError,
    IndexError,
    struct.error,
    OverflowError,
    RecursionError,
)
"""What pamqp may raise; the last for a table in a table in a table."""


class Confirmed(NamedTuple):
    """The broker confirmed, or refused, one message or all up to it (RabbitMQ: Publisher Confirms)."""

    tag: int
    multiple: bool
    positive: bool


@dataclass(frozen=True, slots=True)
class Returned:
    """The broker gives back a mandatory message it could not route."""

    code: int
    text: str
    delivery: ReadDelivery


Event = list[ReadDelivery] | Confirmed | Returned | base.Frame
"""Deliveries come as a list of those that arrived together and in turn."""


class _Content:
    """A message of which parts are still to come."""

    __slots__ = ("missing", "parts", "properties", "redelivered", "returned", "route", "tag")

    def __init__(self, route: tuple[str, str], tag: int, *, redelivered: bool) -> None:
        self.route, self.tag, self.redelivered = route, tag, redelivered
        self.returned: tuple[int, str] | None = None
        self.properties: bytes | None = None
        self.missing = 0
        self.parts: list[bytes] = []

    def finished(self, body: bytes) -> Event:
        assert self.properties is not None  # noqa: S101 - a content is finished by what follows its header
        delivery = ReadDelivery(self.route, body, self.properties, self.tag, redelivered=self.redelivered)
        return [delivery] if self.returned is None else Returned(*self.returned, delivery)


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
        self._routes: dict[bytes, tuple[str, str]] = {}

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
            if kind == _METHOD and number not in self._contents:
                deliveries, at = self._whole_deliveries(data, at, number)
                if deliveries:
                    events.append((number, deliveries))
                    continue
            start = at + 7
            end = start + size
            if end >= length:
                break
            if data[end] != _FRAME_END:
                raise FrameError(FRAME_ERROR, "a frame does not end as frames do")
            event = self._frame(kind, number, data, start, end)
            if event is not None:
                events.append((number, event))
            at = end + 1
        self._hold(data[at:])

    def _whole_deliveries(self, data: bytes, at: int, number: int) -> tuple[list[ReadDelivery], int]:
        """Return the deliveries of one amqp channel, each of three whole frames, that begin at ``at``, and where
        they end. Stops before whatever is cut, of another kind, or wrong: that is looked at frame by frame.
        """
        deliveries: list[ReadDelivery] = []
        then_header, then_body = _THEN_HEADER | number, _THEN_BODY | number
        largest, routes = self.frame_max - FRAME_OVERHEAD, self._routes
        try:
            while True:
                kind, of, size, method = _WHOLE_METHOD.unpack_from(data, at)
                header = at + 7 + size
                first, header_size, frame_class, body_size = _WHOLE_HEADER.unpack_from(data, header)
                body = header + 8 + header_size
                second, part = _WHOLE_BODY.unpack_from(data, body)
                end = body + 8 + part
                if (
                    method != _DELIVER
                    or first != then_header
                    or second != then_body
                    or data[end] != _FRAME_END
                    or part != body_size
                    or not part
                    or size + header_size + part > largest
                    or kind != _METHOD
                    or of != number
                    or frame_class != _BASIC
                    or header_size < _LEAST_CONTENT
                ):
                    break
                tag_at = at + 12 + data[at + 11]
                tag, bits = _TAG_AND_BITS.unpack_from(data, tag_at)
                named = data[tag_at + 9 : header]
                route = routes.get(named) or self._route(named)
                deliveries.append(
                    ReadDelivery(route, data[body + 8 : end], data[header + 20 : body], tag, redelivered=bits & 1 == 1)
                )
                at = end + 1
        except (struct.error, IndexError):
            pass  # the next one is cut, or it is wrong
        return deliveries, at

    def _route(self, named: bytes) -> tuple[str, str]:
        """Return the exchange and routing key at the end of a method; they repeat."""
        route = _two_strings(named, 0, len(named))
        if len(self._routes) >= _CACHED_ROUTES:
            self._routes.clear()
        self._routes[named] = route
        return route

    def _frame(self, kind: int, number: int, data: bytes, start: int, end: int) -> Event | None:
        if kind == _METHOD:
            return self._method(number, data, start, end)
        if kind == _HEADER:
            return self._header(number, data, start, end)
        if kind == _BODY:
            return self._body(number, data[start:end])
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
        if end - start < _LEAST_CONTENT:
            raise FrameError(SYNTAX_ERROR, "a content header without flags")
        frame_class, _, size = _CONTENT.unpack_from(data, start)
        if frame_class != _BASIC or size > LARGEST_BODY:
            raise FrameError(SYNTAX_ERROR, f"a content of class {frame_class} and {size} bytes")
        content.properties = data[start + _CONTENT.size : end]
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
            if part:  # of empty ones there could be any number
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
    route = _two_strings(data, at + _TAG_AND_BITS.size, end)
    return _Content(route, tag, redelivered=bool(redelivered & 1))


def _return(data: bytes, at: int, end: int) -> _Content:
    (code,) = _REPLY_CODE.unpack_from(data, at)
    start = at + 3
    at = start + data[at + 2]
    text = data[start:at].decode("utf-8", "backslashreplace")
    content = _Content(_two_strings(data, at, end), 0, redelivered=False)
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
    except _UNREADABLE_AS as error:
        raise FrameError(SYNTAX_ERROR, f"a method that cannot be read: {error}") from error
    return cast("base.Frame", method)
