"""A gateway's channels between the fakes of a broker, a history and clients."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import orjson

from warren_gateway.bus_options import BusSideOptions
from warren_gateway.handlers.channels import LocalChannels
from warren_gateway.handlers.counts import BusCounts
from warren_gateway.ports import Subscribe
from warren_shared.contracts.channels import routing_key_of
from warren_shared.contracts.codes import Errors
from warren_shared.contracts.namespaces import Namespaces
from warren_shared.contracts.pack import Packed, PackWriter, pack_publication
from warren_shared.contracts.publication import Position
from warren_shared.messaging.port import Delivery, Headers, Inbox
from warren_shared.observability.tracing import Tracing

from .bus_fakes import Client, FakeHistory, FakeInbox, FakePresence, ManualClock, Observer, namespaces

DURABLE = frozenset({"chat", "mine", "last", "trades", "board", "quote", "score", "ticks"})


async def settle() -> None:
    """Let everything run that can run without something new happening."""
    for _ in range(30):
        await asyncio.sleep(0)


class World:
    """A gateway's channels between a broker, a history and clients."""

    def __init__(self, tasks: asyncio.TaskGroup, options: BusSideOptions, names: Namespaces, tracing: Tracing) -> None:
        self.clock, self.history, self.presence = ManualClock(), FakeHistory(), FakePresence()
        self.counts, self.observer = BusCounts(), Observer()
        self.inbox: FakeInbox = FakeInbox()
        self.dead: list[tuple[Delivery, str]] = []
        self.connected = False
        self.undelivered: deque[Delivery] = deque()
        self.channels = LocalChannels(
            names,
            options=options,
            counts=self.counts,
            read_page=self.history.read,
            presence=self.presence,
            dead_letter=lambda delivery, reason: self.dead.append((delivery, reason)),
            observer=self.observer,
            tracing=tracing,
            defer=asyncio.get_running_loop().call_soon,
            spawn=tasks.create_task,
            monotonic=self.clock.monotonic,
            random=lambda: 0.5,
        )

    async def connect(self) -> None:
        """The inbox opens, empty and unbound."""
        self.inbox = FakeInbox()
        self.undelivered.clear()
        self.connected = True
        await self.channels.opened(_as_inbox(self.inbox))
        await settle()

    async def disconnect(self) -> None:
        self.connected = self.inbox.is_open = False
        self.inbox.fails = True
        self.undelivered.clear()
        self.channels.lost()
        await settle()

    def route(self, delivery: Delivery) -> None:
        """Put a delivery in the inbox's queue, if it is bound."""
        if self.connected and self.inbox.matches(delivery.routing_key):
            self.undelivered.append(delivery)

    async def deliver(self) -> None:
        """Hand over everything in the queue, as one loop turn's deliveries."""
        while self.undelivered:
            self.channels.take(self.undelivered.popleft())
        await settle()

    async def publish(self, channel: str, *data: object) -> None:
        """Publish on a live or durable channel and deliver."""
        for each in data:
            if channel.partition(":")[0] in DURABLE:
                self.route(self.history.publish(channel, each))
            else:
                self.route(live(channel, orjson.dumps(each)))
        await self.deliver()

    async def tick(self, seconds: float = 1.0) -> None:
        self.clock.time += seconds
        self.channels.tick()
        await settle()

    async def subscribe(self, client: Client, channel: str, since: Position | None = None, **more: Any) -> None:
        positioned = channel.partition(":")[0] in DURABLE
        request = Subscribe(channel, recoverable=positioned, positioned=positioned, recover_from=since, **more)
        self.channels.subscribe(request, client, client.done)
        await settle()


def _as_inbox(inbox: FakeInbox) -> Inbox:
    return inbox


def live(channel: str, body: bytes, headers: Headers | None = None, kind: str | None = None) -> Delivery:
    """A delivery that came through the exchange-to-exchange binding of a live namespace."""
    return Delivery("warren.publish", routing_key_of(channel), body, headers or {}, type=kind)


def announced(channel: str, body: bytes, kind: str) -> Delivery:
    """A join or leave, as presence publishes it."""
    return Delivery("warren.deliver", routing_key_of(channel), body, type=kind)


def packed(*deliveries: Delivery, key: str | None = None) -> Delivery:
    """What history would send instead of these."""
    writer = PackWriter()
    for each in deliveries:
        offset, epoch = each.headers["offset"], each.headers["epoch"]
        assert isinstance(offset, int)
        headers = {name: str(value) for name, value in each.headers.items() if name not in {"offset", "epoch", "time"}}
        writer.add(each.routing_key, str(epoch), pack_publication(Packed(offset, 7, each.body, headers)))
    return Delivery("warren.deliver", key or deliveries[0].routing_key, writer.body(), type="pack")


class _EndError(Exception):
    """Ends a world."""


@asynccontextmanager
async def world(
    options: BusSideOptions | None = None,
    names: Namespaces | None = None,
    *,
    connected: bool = True,
    tracing: Tracing | None = None,
) -> AsyncIterator[World]:
    """A world whose tasks end with the block."""
    try:
        async with asyncio.TaskGroup() as tasks:
            made = World(tasks, options or BusSideOptions(), names or namespaces(), tracing or Tracing(None))
            running = tasks.create_task(made.channels.binder.run())
            if connected:
                await made.connect()
            yield made
            running.cancel()
            raise _EndError
    except* _EndError:
        pass


def offsets(publications: Iterable[bytes]) -> list[int]:
    return [orjson.loads(publication)["offset"] for publication in publications]


UNAVAILABLE = Errors.INTERNAL
