"""The WebSocket link: from a socket's bytes to messages and back, after the handshake."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from warren_gateway.adapters.connection import Connection
from warren_gateway.adapters.connections import Connections
from warren_gateway.adapters.frames import CloseCode, FrameError, FrameReader, Opcode, close_frame, frame
from warren_gateway.adapters.framing import JSON_FRAMING
from warren_gateway.domain.events import CloseRequested
from warren_shared.contracts.codes import Disconnect

_MESSAGES: Final = frozenset({Opcode.TEXT, Opcode.BINARY})


class WebSocketLink(asyncio.Protocol):
    """Takes the transport over from the HTTP server and runs one connection on it.

    Everything is written to the transport directly. It calls ``pause_writing`` when more waits than
    the limit given to it: that is the bound of the connection's buffer.
    """

    __slots__ = ("_closing", "_connection", "_paused", "_reader", "_transport", "_waiting", "write")

    def __init__(self, client: str, transport: asyncio.Transport, message_limit: int, connections: Connections) -> None:
        self.write: Callable[[bytes], None] = transport.write
        self._transport = transport
        self._reader: FrameReader | None = FrameReader(message_limit)
        """None when what the client sends cannot be understood any more."""
        self._closing = False
        """Whether this side has sent its close frame."""
        self._paused = False
        """Whether the socket is not read because a message waits."""
        self._waiting: bytes | None = None
        transport.set_write_buffer_limits(high=connections.limits.write_buffer)
        self._connection = Connection(client, JSON_FRAMING, self, connections)

    def open(self, early: bytes, traceparent: str | None) -> None:
        """Begin; ``early`` is what came behind the handshake."""
        self._transport.set_protocol(self)
        self._connection.open(traceparent)
        if early:
            self.data_received(early)

    def data_received(self, data: bytes) -> None:
        if self._reader is not None:
            self._reader.feed(data)
            self._hand_over(self._reader)

    def eof_received(self) -> None:
        self._connection.leaving()

    def connection_lost(self, _exc: Exception | None) -> None:
        self._connection.lost()

    def pause_writing(self) -> None:
        self._connection.overflowed()

    def resume_writing(self) -> None:
        """Nobody waits for this: a connection whose buffer was full is being closed."""

    def close(self, disconnect: Disconnect) -> None:
        self._closing = True
        self.write(close_frame(disconnect.code, disconnect.reason))
        self._waiting = None
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        if self._reader is None and self._transport.can_write_eof():
            # The client's own close frame will not be recognised. The end of the stream makes it go;
            # closing the socket on unread bytes would take the close frame back (a TCP reset).
            self._transport.write_eof()

    def abort(self) -> None:
        self._transport.abort()

    def resume(self) -> None:
        if self._paused:
            self._paused = False
            waiting, self._waiting = self._waiting, None
            if waiting is not None:
                self._connection.receive(waiting)
            if self._reader is not None:
                self._hand_over(self._reader)
            if not self._paused:
                self._transport.resume_reading()

    def _hand_over(self, reader: FrameReader) -> None:
        """Hand over messages while the connection takes them; then stop reading the socket."""
        try:
            while self._waiting is None and (found := reader.next()) is not None:
                self._take(*found)
        except FrameError as error:
            self._reader = None
            self._connection.feed(CloseRequested(Disconnect(error.code, error.reason)))

    def _take(self, opcode: int, payload: bytes) -> None:
        if opcode == Opcode.CLOSE:
            self._take_close(payload)
        elif self._closing:
            pass
        elif opcode in _MESSAGES:
            self._take_message(payload)
        elif opcode == Opcode.PING:
            self.write(frame(Opcode.PONG, payload))

    def _take_message(self, message: bytes) -> None:
        if self._connection.ready:
            self._connection.receive(message)
        else:
            self._waiting, self._paused = message, True
            self._transport.pause_reading()

    def _take_close(self, payload: bytes) -> None:
        """Finish the closing handshake (RFC 6455 section 5.5.1): the server then closes the socket."""
        if len(payload) == 1:
            raise FrameError(CloseCode.PROTOCOL_ERROR, "close code cut short")
        if not self._closing:
            self._closing = True
            self.write(frame(Opcode.CLOSE, payload[:2]))
            self._connection.leaving()
        self._transport.close()
