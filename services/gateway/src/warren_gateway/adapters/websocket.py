"""The WebSocket link: from a socket's bytes to messages and back, after the handshake."""

from __future__ import annotations

import asyncio
from typing import Final

from warren_gateway.adapters.bare_pushes import connect_command
from warren_gateway.adapters.connections import Connections
from warren_gateway.adapters.deflate import inflated
from warren_gateway.adapters.frames import FrameError, FrameReader, Opcode, check_close, close_frame, frame
from warren_gateway.adapters.socket_link import WORK_A_TURN, SocketLink
from warren_gateway.domain.events import CloseRequested, PongReceived
from warren_gateway.ports import Framing
from warren_shared.contracts.codes import Disconnect

_MESSAGES: Final = frozenset({Opcode.TEXT, Opcode.BINARY})


class WebSocketLink(SocketLink):
    """Takes the transport over from the HTTP server and runs one connection on it.

    What came is worked off in turns of the event loop, a bounded part in each, and the socket is not read
    meanwhile.
    """

    __slots__ = ("_frame_pings", "_heard", "_paused", "_pong", "_reader", "_waiting")

    def __init__(
        self,
        client: str,
        transport: asyncio.Transport,
        message_limit: int,
        connections: Connections,
        framing: Framing,
        *,
        frame_pings: bool = False,
        unidirectional: bool = False,
        compresses: bool = False,
    ) -> None:
        """``frame_pings``: whether the client is pinged with frames of WebSocket's own; ``unidirectional``:
        whether its first message is a bare connect request, and all others say nothing; ``compresses``: whether its
        messages may be compressed.
        """
        super().__init__(
            client, transport, connections, framing, frame_pings=frame_pings, unidirectional=unidirectional
        )
        self._heard = False
        """Whether there was a message."""
        self._reader: FrameReader | None = FrameReader(message_limit, inflated if compresses else None)
        """None when what the client sends cannot be understood any more."""
        self._paused = False
        """Whether the socket is not read, because something that came waits."""
        self._waiting: bytes | None = None
        """A message that the connection has not received yet."""
        self._pong: bytes | None = None
        """What the latest ping of this turn is to be answered with."""
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

    def connection_lost(self, _exc: Exception | None) -> None:
        self._reader = self._waiting = None
        self._connection.lost()

    def close(self, disconnect: Disconnect) -> None:
        self._closing = True
        if self._unidirectional:
            self.write(self._last_word(disconnect))
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

    def resume(self) -> None:
        if self._waiting is not None or self._connection.behind:
            self._turn_soon()

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
        left = WORK_A_TURN
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
            self._take_message(payload)
        elif opcode == Opcode.PING:
            self._pong = payload
        elif self._frame_pings:
            self._connection.feed(PongReceived())

    def _take_message(self, payload: bytes) -> None:
        if not self._unidirectional:
            self._waiting = payload
        elif not self._heard:
            self._waiting, self._heard = connect_command(payload), True

    def _take_close(self, payload: bytes) -> None:
        """Finish the closing handshake (RFC 6455 section 5.5.1): the server then closes the socket."""
        if not self._closing:
            check_close(payload)
            self._closing = True
            self.write(frame(Opcode.CLOSE, payload[:2]))
            self._connection.leaving()
        self._transport.close()
