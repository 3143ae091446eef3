"""What backends are told, on its way to the broker: nobody waits for it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, Protocol

import structlog

from warren_gateway.bus_options import BusSideOptions
from warren_gateway.domain.token_bucket import TokenBucket
from warren_shared.messaging.port import BusError, Outgoing, Publisher

PAUSE_SECONDS: Final = 0.5
"""Between looks whether the broker is back."""
_LINES_PER_SECOND: Final = 1.0
_log = structlog.get_logger()


class EventBus(Publisher, Protocol):
    """What is needed of the bus."""

    @property
    def ready(self) -> bool:
        """Whether there is a broker now, and everything is set up there."""


class EventOutbox:
    """Publishes in order and with confirms, at most once.

    While there is no broker it keeps what it is given; beyond its bounds that is dropped and counted. What was
    under way when a connection broke is not sent again, and counted as failed.
    """

    def __init__(
        self,
        bus: EventBus,
        options: BusSideOptions,
        *,
        monotonic: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._bus, self._options, self._sleep, self._monotonic = bus, options, sleep, monotonic
        self._waiting: deque[Outgoing] = deque()
        self._bytes = 0
        self._work, self._done = asyncio.Event(), asyncio.Event()
        self._done.set()
        self._lines = TokenBucket(_LINES_PER_SECOND)
        self.sent = self.dropped = self.failed = 0

    def put(self, message: Outgoing) -> None:
        """Have a message published, or drop it."""
        options = self._options
        if len(self._waiting) >= options.event_queue or self._bytes + len(message.body) > options.event_queue_bytes:
            self.dropped += 1
            self._log("client_event_dropped", key=message.routing_key)
            return
        self._waiting.append(message)
        self._bytes += len(message.body)
        self._done.clear()
        self._work.set()

    async def run(self) -> None:
        """Publish until cancelled."""
        while True:
            await self._work.wait()
            self._work.clear()
            while self._waiting:
                if self._bus.ready:
                    await self._publish_some()
                else:
                    await self._sleep(PAUSE_SECONDS)
            self._done.set()

    async def drain(self) -> None:
        """Wait until all is published, for at most the drain deadline."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._options.drain_deadline):
                await self._done.wait()

    async def _publish_some(self) -> None:
        size = min(len(self._waiting), self._options.event_batch)
        batch = [self._waiting.popleft() for _ in range(size)]
        self._bytes -= sum(len(message.body) for message in batch)
        try:
            await self._bus.publish_all(batch, deadline=self._options.publish_deadline)
        except BusError as error:
            self.failed += size
            self._log("client_events_lost", events=size, reason=str(error))
            await self._sleep(PAUSE_SECONDS)
        else:
            self.sent += size

    def _log(self, event: str, **fields: object) -> None:
        if self._lines.take(self._monotonic()):
            _log.warning(event, **fields)
