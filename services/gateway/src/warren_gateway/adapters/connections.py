"""All connections of a gateway, and what they share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import structlog

from warren_gateway.adapters.asking import Asking
from warren_gateway.adapters.client_log import ClientLog
from warren_gateway.domain.directory import Directory
from warren_gateway.domain.events import CloseRequested
from warren_gateway.domain.rules import SessionRules
from warren_gateway.domain.timers import TimerWheel
from warren_gateway.ports import Channels
from warren_gateway.socket_metrics import SocketCounters
from warren_shared.contracts.codes import Disconnects
from warren_shared.contracts.publication import MAX_PAYLOAD_BYTES

if TYPE_CHECKING:
    from warren_gateway.adapters.connection import Connection

_TICK: Final = 0.25
"""Seconds by which a ping or a deadline may come late."""
_SHUTDOWN_SLICE: Final = 0.05
"""Seconds between two batches of clients that are sent away."""
_CUT_SECONDS: Final = 1.0
"""How long shutdown waits for connections that were cut."""
_LARGEST_PUSH: Final = MAX_PAYLOAD_BYTES + 131_072
"""A publication of the largest size with tags and info, and with it all that the fan-out writes to one
connection in a turn of the event loop. The socket takes nothing of it before the turn ends."""
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Bounds of one connection."""

    write_buffer: int = 1_048_576
    """Bytes that may wait for a client that does not read, besides what the present turn of the loop writes."""
    replies: int = 4_194_304
    """Bytes of large replies, which the client itself asked for, that may wait besides."""
    reply_timeout: float = 30.0
    """Seconds a client has to read a large reply. Not longer, because an SDK that hears of nothing for
    a ping interval and ten seconds, 35 by default, gives the connection up."""
    close_timeout: float = 3.0
    """Seconds a client has to answer a close."""

    @property
    def high_water(self) -> int:
        """The transport's mark: a client for whom more waits is too slow."""
        return self.write_buffer + _LARGEST_PUSH


class Connections:
    """The open connections and their surroundings."""

    def __init__(
        self,
        rules: SessionRules,
        channels: Channels,
        asking: Asking,
        counters: SocketCounters,
        limits: ConnectionLimits,
        monotonic: Callable[[], float],
    ) -> None:
        self.rules = rules
        self._rules_of_others = {
            each: replace(rules, frame_pings=each[0], unidirectional=each[1])
            for each in ((True, False), (False, True), (True, True))
        }
        self.channels, self.asking = channels, asking
        self.counters, self.limits, self.monotonic = counters, limits, monotonic
        self.log = ClientLog(monotonic)
        loop = asyncio.get_running_loop()
        self.call_soon, self.call_later = loop.call_soon, loop.call_later
        self.wheel: TimerWheel[Connection] = TimerWheel(_TICK, monotonic())
        self._open: Directory[Connection] = Directory()
        self._all_closed = asyncio.Event()

    def __len__(self) -> int:
        """Return how many connections are open."""
        return len(self._open)

    @property
    def users(self) -> int:
        """How many users, anonymous ones apart, have connections here."""
        return self._open.users

    def rules_of(self, *, frame_pings: bool, unidirectional: bool) -> SessionRules:
        """Return the rules of one kind of connection."""
        return self._rules_of_others.get((frame_pings, unidirectional), self.rules)

    def add(self, connection: Connection) -> None:
        self._open.add(connection)
        self.counters.accepted += 1

    def identify(self, connection: Connection) -> None:
        """It is known whose connection it is."""
        self._open.identify(connection)

    def find(self, user: str | None, client: str | None, session: str | None) -> Sequence[Connection]:
        """See the port ``Clients``."""
        return self._open.find(user, client, session)

    def remove(self, connection: Connection) -> None:
        self._open.remove(connection)
        if not self._open:
            self._all_closed.set()

    async def keep_time(self) -> None:
        """Wake connections whose time has come, until cancelled."""
        while True:
            await asyncio.sleep(self.wheel.tick)
            for connection in self.wheel.advance(self.monotonic()):
                try:
                    connection.wake()
                except Exception:  # noqa: BLE001 - one connection's mistake must not stop the time of the others
                    _log.exception("connection_not_woken", client=connection.client)

    async def send_away(self, window: float, deadline: float) -> None:
        """Close all connections, a batch at a time so that they do not come back all at once.

        It takes ``window`` seconds if there are enough of them; whoever is left after ``deadline``
        is cut, which takes a second more at most. No new connection may come meanwhile.
        """
        _log.info("clients_sent_away", connections=len(self), window=window)
        try:
            async with asyncio.timeout(deadline):
                waiting = list(self._open)
                batches = max(1, int(window / _SHUTDOWN_SLICE))
                size = max(1, -(-len(waiting) // batches))
                for start in range(0, len(waiting), size):
                    for connection in waiting[start : start + size]:
                        connection.feed(CloseRequested(Disconnects.SHUTDOWN))
                    await asyncio.sleep(_SHUTDOWN_SLICE if window else 0)
                await self._until_all_closed()
        except TimeoutError:
            await self._cut()

    async def _until_all_closed(self) -> None:
        while self._open:
            self._all_closed.clear()
            await self._all_closed.wait()

    async def _cut(self) -> None:
        _log.warning("clients_cut", connections=len(self))
        for connection in list(self._open):
            self.counters.cut += 1
            connection.cut()
        with suppress(TimeoutError):  # a socket that outlives its cut must not keep the gateway from draining
            async with asyncio.timeout(_CUT_SECONDS):
                await self._until_all_closed()
