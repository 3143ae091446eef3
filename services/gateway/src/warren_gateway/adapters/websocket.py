"""The WebSocket link: from a socket's bytes to messages and back, after the handshake."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from warren_gateway.adapters.connection import Connection
from warren_gateway.adapters.connections import Connections
from warren_gateway.adapters.frames import FrameError, FrameReader, Opcode, check_close, close_frame, frame
from warren_gateway.adapters.framing import JSON_FRAMING
from warren_gateway.domain.events import CloseRequested, PongReceived
from warren_shared.contracts.codes import Disconnect

_MESSAGES: Final = frozenset({Opcode.TEXT, Opcode.BINARY})
_WORK_A_TURN: Final = 64
"""Frames and commands of one connection handled in one turn of the event loop: one or two milliseconds.
One read brings 256 KiB, which may be 40,000 frames or 14,000 commands; everybody else would wait for them."""
_LARGE: Final = 65_536
"""A reply of more bytes does not count as slowness of the client that asked for it."""
_LOOK: Final = 0.5
"""Seconds between two looks at how much of a large reply has left."""


class WebSocketLink(asyncio.Protocol):
    """Takes the transport over from the HTTP server and runs one connection on it.

    Everything is written to the transport directly. It calls ``pause_writing`` when more waits than
    the mark given to it: that is the bound of the connection's buffer. A large reply raises the mark
    until it has left, so that what is pushed behind it has the same room as ever. What came is worked off in
    turns of the event loop, a bounded part in each, and the socket is not read meanwhile.
    """

    __slots__ = (
        "_call_later",
        "_call_soon",
        "_closing",
        "_connection",
        "_drain_until",
        "_due",
        "_frame_pings",
        "_high",
        "_limits",
        "_monotonic",
        "_paused",
        "_pong",
        "_reader",
        "_transport",
        "_waiting",
        "write",
    )

    def __init__(
        self,
        client: str,
        transport: asyncio.Transport,
        message_limit: int,
        connections: Connections,
        *,
        frame_pings: bool = False,
    ) -> None:
        """``frame_pings``: whether the client is pinged with frames of WebSocket's own."""
        self.write: Callable[[bytes], None] = transport.write
        self._transport, self._call_soon = transport, connections.call_soon
        self._reader: FrameReader | None = FrameReader(message_limit)
        """None when what the client sends cannot be understood any more."""
        self._closing = False
        """Whether this side has sent its close frame."""
        self._due = False
        """Whether a turn is under way, or will be."""
        self._paused = False
        """Whether the socket is not read, because something that came waits."""
        self._waiting: bytes | None = None
        """A message that the connection has not received yet."""
        self._pong: bytes | None = None
        """What the latest ping of this turn is to be answered with."""
        self._limits, self._call_later, self._monotonic = (
            connections.limits,
            connections.call_later,
            connections.monotonic,
        )
        self._high = self._limits.high_water
        self._drain_until: float | None = None
        """When a large reply must have left; None while there is none."""
        transport.set_write_buffer_limits(high=self._high)
        self._connection = Connection(client, JSON_FRAMING, self, connections, frame_pings=frame_pings)
        self._frame_pings = frame_pings

    def open(self, early: bytes, traceparent: str | None) -> None:
        """Begin; ``early`` is what came behind the handshake."""
        self._transport.set_protocol(self)
        self._connection.open(traceparent)
        if early:
            self.data_received(early)

    def data_received(self, data: bytes) -> None:
        if self._reader is not None:
            self._reader.feed(data)
            if not self._due:
                self._due = True
                self._turn()

    def eof_received(self) -> None:
        self._connection.leaving()

    def connection_lost(self, _exc: Exception | None) -> None:
        self._reader = self._waiting = None
        self._connection.lost()

    def pause_writing(self) -> None:
        self._connection.overflowed()

    def resume_writing(self) -> None:
        """Nobody waits for this: a connection whose buffer was full is being closed."""

    @property
    def waiting(self) -> int:
        return self._transport.get_write_buffer_size()

    @property
    def draining(self) -> bool:
        return self._drain_until is not None

    def reply(self, packed: bytes) -> None:
        if len(packed) > _LARGE and not self._closing:
            waiting = self.waiting + len(packed)
            if waiting > self._limits.high_water + self._limits.replies:
                self._connection.overflowed()
                return
            self._raise_high_water(waiting + self._limits.high_water)
        self.write(packed)

    def _raise_high_water(self, high: int) -> None:
        if self._drain_until is None:
            self._call_later(_LOOK, self._look)
        self._drain_until = self._monotonic() + self._limits.reply_timeout
        self._set_high_water(max(self._high, high))

    def _look(self) -> None:
        """See how much of a large reply has left; what has, is not to make room for pushes."""
        waiting = self.waiting
        if self._transport.is_closing() or self._drain_until is None:
            return
        if waiting <= self._limits.write_buffer:
            self._drain_until = None
            self._set_high_water(self._limits.high_water)
        elif self._monotonic() >= self._drain_until:
            self._connection.overflowed()
        else:
            self._set_high_water(min(self._high, waiting + self._limits.high_water))
            self._call_later(_LOOK, self._look)

    def _set_high_water(self, high: int) -> None:
        if high != self._high:
            self._high = high
            self._transport.set_write_buffer_limits(high=high)

    def close(self, disconnect: Disconnect) -> None:
        self._closing = True
        self.write(close_frame(disconnect.code, disconnect.reason))
        self._waiting = None
        if self._paused:
            self._turn_soon()
        if self._reader is None and self._transport.can_write_eof():
            # The client's own close frame will not be recognised. The end of the stream makes it go;
            # closing the socket on unread bytes would take the close frame back (a TCP reset).
            self._transport.write_eof()

    def ping(self) -> None:
        self.write(frame(Opcode.PING, b""))

    def abort(self) -> None:
        self._transport.abort()

    def resume(self) -> None:
        if self._waiting is not None or self._connection.behind:
            self._turn_soon()

    def _turn_soon(self) -> None:
        if not self._due:
            self._due = True
            self._call_soon(self._turn)

    def _turn(self) -> None:
        """Work off a bounded part of what came."""
        more = False
        try:
            if self._reader is not None:
                more = self._work(self._reader)
        except FrameError as error:
            self._reader = None
            self._connection.feed(CloseRequested(Disconnect(error.code, error.reason)))
        except Exception:
            self._transport.abort()  # as asyncio does where a protocol's mistake reaches it; else nobody would go on
            raise
        self._answer_ping()
        self._due = False
        if more:
            self._turn_soon()
        self._read(wanted=not more and self._waiting is None)

    def _work(self, reader: FrameReader) -> bool:
        """Return whether there may be more to do in the next turn."""
        left = _WORK_A_TURN
        while left > 0 and not self._transport.is_closing():
            left -= self._connection.take(left)
            if self._waiting is not None:
                if not self._connection.ready:
                    return self._connection.takes
                message, self._waiting = self._waiting, None
                self._connection.receive(message)
            elif (found := reader.next()) is None:
                return self._connection.takes
            else:
                self._take(*found)
            left -= 1
        return not self._transport.is_closing()

    def _read(self, *, wanted: bool) -> None:
        if wanted and self._paused:
            self._transport.resume_reading()
        elif not wanted and not self._paused:
            self._transport.pause_reading()
        self._paused = not wanted

    def _answer_ping(self) -> None:
        """Answer the latest ping only, which is enough (RFC 6455 section 5.5.3)."""
        pong, self._pong = self._pong, None
        if pong is not None and not self._closing and not self._transport.is_closing():
            self.write(frame(Opcode.PONG, pong))

    def _take(self, opcode: int, payload: bytes) -> None:
        if opcode == Opcode.CLOSE:
            self._take_close(payload)
        elif self._closing:
            pass
        elif opcode in _MESSAGES:
            self._waiting = payload
        elif opcode == Opcode.PING:
            self._pong = payload
        elif self._frame_pings:
            self._connection.feed(PongReceived())

    def _take_close(self, payload: bytes) -> None:
        """Finish the closing handshake (RFC 6455 section 5.5.1): the server then closes the socket."""
        if not self._closing:
            check_close(payload)
            self._closing = True
            self.write(frame(Opcode.CLOSE, payload[:2]))
            self._connection.leaving()
        self._transport.close()
