"""A bus under test, and what takes its deliveries."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from eventually import eventually

from warren_shared.messaging.amqp.bus import AmqpBus
from warren_shared.messaging.amqp.driver import Connect
from warren_shared.messaging.port import BatchHandler, BindKey, BusError, Delivery, Inbox, Outgoing
from warren_shared.observability.tracing import Tracing
from warren_shared.topology.catalogue import DEFAULT_PARTITIONS, ExchangeName, history_partition

DEADLINE: Final = 10.0
Prepare = Callable[[AmqpBus], None]
"""Registers what consumes, before the bus runs."""


@asynccontextmanager
async def running(
    connect: Connect, url: str, prepare: Prepare = lambda _: None, *, heartbeat: int = 10
) -> AsyncIterator[AmqpBus]:
    """Run a bus that is ready while the block runs."""
    bus = AmqpBus(connect, url, service="test", heartbeat=heartbeat, tracing=Tracing(None))
    prepare(bus)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(bus.run())
        await bus.wait_ready(deadline=DEADLINE)
        try:
            yield bus
        finally:
            task.cancel()


class Collector:
    """A consumer's handler that collects deliveries, and lets a test wait for them."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self._arrived = asyncio.Condition()

    async def __call__(self, batch: Sequence[Delivery]) -> None:
        await self.add(batch)

    async def add(self, batch: Sequence[Delivery]) -> None:
        """Take deliveries."""
        self.deliveries.extend(batch)
        async with self._arrived:
            self._arrived.notify_all()

    async def wait_for(self, number: int) -> list[bytes]:
        """Wait for so many deliveries; return the bodies of all."""
        await self.until(lambda: len(self.deliveries) >= number)
        return [delivery.body for delivery in self.deliveries]

    async def until(self, holds: Callable[[], bool], *, deadline: float = DEADLINE) -> None:
        """Wait until something holds of the deliveries."""
        async with asyncio.timeout(deadline), self._arrived:
            await self._arrived.wait_for(holds)

    @property
    def first_copies(self) -> list[bytes]:
        """The different bodies in the order in which each came first."""
        return list(dict.fromkeys(delivery.body for delivery in self.deliveries))


class Listener:
    """An inbox's owner that binds fixed keys and records what happens."""

    def __init__(self, *keys: BindKey) -> None:
        self.keys, self.bodies, self.opened, self.lost = keys, list[bytes](), asyncio.Semaphore(0), 0
        self.arrived = asyncio.Event()

    def on_deliveries(self, deliveries: Sequence[Delivery]) -> None:
        self.bodies.extend(delivery.body for delivery in deliveries)
        self.arrived.set()

    async def on_open(self, inbox: Inbox) -> None:
        await inbox.bind(self.keys, deadline=DEADLINE)
        self.opened.release()

    def on_lost(self) -> None:
        self.lost += 1


class Producer:
    """Publishes numbered messages one after the other, each again until it is confirmed, as a backend should."""

    def __init__(self, bus: AmqpBus, *, deadline: float = 1.0) -> None:
        self._bus, self._deadline = bus, deadline
        self.confirmed = 0
        """All numbers below this one are confirmed."""
        self.failures: list[BusError] = []
        """What tries ended with."""

    async def run(self, count: int) -> None:
        """Go on until so many are confirmed."""
        for message in numbered(count)[self.confirmed :]:
            while not await self._try(message):
                pass
            self.confirmed += 1

    async def until(self, confirmed: int, *, deadline: float = DEADLINE) -> None:
        """Wait until so many are confirmed."""
        await eventually(
            lambda: self.confirmed >= confirmed, deadline=deadline, what=f"{confirmed} publications confirmed"
        )

    async def _try(self, message: Outgoing) -> bool:
        try:
            await self._bus.wait_ready(deadline=self._deadline)
            await self._bus.publish(message, deadline=self._deadline)
        except BusError as error:
            self.failures.append(error)
            return False
        return True


def bodies(count: int) -> list[bytes]:
    """Return the bodies of so many numbered messages."""
    return [b"%d" % n for n in range(count)]


def numbered(count: int, *, key: str = "chat.a", exchange: str = ExchangeName.PUBLISH) -> list[Outgoing]:
    """Return so many messages whose bodies count up from 0."""
    return [Outgoing(exchange, key, b"%d" % n, message_id=str(n), persistent=True) for n in range(count)]


def consuming(handler: BatchHandler, **options: int) -> Prepare:
    """Consume every history partition."""

    def prepare(bus: AmqpBus) -> None:
        for index in range(DEFAULT_PARTITIONS):
            bus.consume(history_partition(index), handler, **options)

    return prepare
