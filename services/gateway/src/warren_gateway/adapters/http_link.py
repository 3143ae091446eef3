"""The HTTP link: replies go down a response that does not end, commands come in requests of their own."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from typing import Final

from warren_gateway.adapters.bare_pushes import connect_command
from warren_gateway.adapters.connections import Connections
from warren_gateway.adapters.http_framing import HttpFraming
from warren_gateway.adapters.sessions import Sessions
from warren_gateway.adapters.socket_link import WORK_A_TURN, SocketLink
from warren_gateway.domain.events import CloseRequested
from warren_shared.contracts.codes import Disconnect, Disconnects

MOST_WAITING: Final = 256
"""Messages of one client that may wait; one that sends more before they are taken is closed with 3013."""


class HttpLink(SocketLink):
    """Takes the transport of a request over from the HTTP server and runs one connection on it.

    What the socket brings after the request says nothing. Messages that arrive otherwise wait here, bounded,
    and are worked off in the order of their arrival, a bounded part in each turn of the event loop.
    """

    __slots__ = ("_body", "_bytes", "_most_bytes", "_session", "_sessions", "_waiting")

    def __init__(
        self,
        client: str,
        transport: asyncio.Transport,
        message_limit: int,
        connections: Connections,
        framing: HttpFraming,
        sessions: Sessions[HttpLink] | None,
    ) -> None:
        """``sessions``: where messages that come otherwise find it; None: it is unidirectional, and there are none."""
        super().__init__(client, transport, connections, framing, unidirectional=sessions is None)
        self._body, self._sessions = framing, sessions
        if connections.rules.ping_interval:
            _bound_silence(transport, connections.rules.ping_interval + connections.rules.pong_timeout)
        self._session = ""
        self._waiting: deque[bytes] = deque()
        self._bytes, self._most_bytes = 0, 4 * message_limit

    def open(self, head: bytes, message: bytes, traceparent: str | None) -> None:
        """Begin: answer with ``head``, and take the message that the request brought."""
        self._transport.set_protocol(self)
        self._transport.resume_reading()  # else the client's end is not noticed
        opening = self._body.opening
        self.write(head + (self._body.part(opening) if opening else b""))
        self._connection.open(traceparent)
        self.take(connect_command(message) if self._unidirectional else message)

    def take(self, message: bytes) -> None:
        """Have one of the client's messages worked off, after those that came before it."""
        if self._closing or self._transport.is_closing():
            return
        if len(self._waiting) == MOST_WAITING or self._bytes + len(message) > self._most_bytes:
            self._connection.feed(CloseRequested(Disconnects.TOO_MANY_REQUESTS))
            return
        self._waiting.append(message)
        self._bytes += len(message)
        self._turn_soon()

    def let_in(self, session: str) -> None:
        if self._sessions is not None:
            self._session = session
            self._sessions.add(session, self)

    def data_received(self, data: bytes) -> None:
        """Nothing is expected from the socket any more."""

    def connection_lost(self, _exc: Exception | None) -> None:
        self._forget()
        self._connection.lost()

    def close(self, disconnect: Disconnect) -> None:
        """Say why, end the response and, when all has left, the connection."""
        self._closing = True
        self._forget()
        self.write(self._last_word(disconnect) + self._body.end)
        self._transport.close()

    def resume(self) -> None:
        if self._waiting or self._connection.behind:
            self._turn_soon()

    def _forget(self) -> None:
        self._waiting.clear()
        self._bytes = 0
        if self._session and self._sessions is not None:
            self._sessions.remove(self._session)
            self._session = ""

    def _turn(self) -> None:
        more = False
        try:
            more = self._work()
        except Exception:
            self._transport.abort()  # as asyncio does where a protocol's mistake reaches it; else nobody would go on
            raise
        finally:
            self._due = False
        if more:
            self._turn_soon()

    def _work(self) -> bool:
        """Return whether there may be more to do in the next turn."""
        left = WORK_A_TURN
        while left > 0 and not self._transport.is_closing():
            left -= self._connection.take(left) + 1
            if self._connection.ready and self._waiting:
                message = self._waiting.popleft()
                self._bytes -= len(message)
                self._connection.receive(message)
            elif not self._connection.takes:
                return False
        return not self._transport.is_closing()


def _bound_silence(transport: asyncio.Transport, seconds: float) -> None:
    """Have the kernel give the connection up if what is sent, pings at the least, stays unacknowledged for so long.

    A listener answers nothing, so that nobody but the kernel can notice that its machine is gone (RFC 5482). Where
    the system has no such option its own retransmissions decide, which takes it a quarter of an hour.
    """
    sock = transport.get_extra_info("socket")
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    if sock is not None and option is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.IPPROTO_TCP, option, int(seconds * 1000))
