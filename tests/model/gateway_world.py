"""A gateway's real channels over an inbox whose every delivery a test hands over, or does not."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass

from warren_gateway.bus_options import BusSideOptions
from warren_gateway.handlers.channels import LocalChannels
from warren_gateway.handlers.counts import BusCounts
from warren_gateway.ports import ServiceUnavailableError
from warren_shared.contracts.history import Page, ReadRequest
from warren_shared.contracts.namespaces import Namespaces
from warren_shared.contracts.presence import Member
from warren_shared.messaging.port import BindKey, BrokerUnavailableError, Delivery
from warren_shared.observability.tracing import Tracing

OPTIONS = BusSideOptions(recovery_limit=6, hold_publications=8, unbind_grace=5, heal_longest_pause=0.0, fanout_slice=2)
"""Small, so that every bound is reached."""


class Inbox:
    """What the broker would route; it may be gone."""

    def __init__(self) -> None:
        self.keys: set[str] = set()
        self.is_open = True

    async def bind(self, keys: Sequence[BindKey], *, deadline: float) -> None:
        self._check(deadline)
        self.keys.update(key for _, key in keys)

    async def unbind(self, keys: Sequence[BindKey], *, deadline: float) -> None:
        self._check(deadline)
        self.keys.difference_update(key for _, key in keys)

    def _check(self, deadline: float) -> None:
        assert deadline > 0
        if not self.is_open:
            raise BrokerUnavailableError("there is no connection to the broker")


@dataclass(eq=False, slots=True)
class Read:
    """A read on its way to history or back."""

    request: ReadRequest
    answer: asyncio.Future[Page]
    page: Page | None = None


class Quiet:
    """Presence that nobody asks, and an observer that sees nothing."""

    def joined(self, channel: str, member: Member, *, announce: bool) -> None:
        """See PresenceSink."""

    def left(self, channel: str, client: str, *, announce: bool) -> None:
        """See PresenceSink."""

    def writing(self, channel: str, traces: Sequence[object], recipients: int) -> AbstractContextManager[object]:
        """See FanoutObserver."""
        del channel, traces, recipients
        return nullcontext()

    def written(self, seconds: float) -> None:
        """See FanoutObserver."""


class GatewayWorld:
    """The gateway's part. Time passes when a test says so."""

    def __init__(self, tasks: asyncio.TaskGroup, names: Namespaces) -> None:
        self.now, self.inbox, self.connected = 1_000.0, Inbox(), False
        self.undelivered: deque[Delivery] = deque()
        self.reads: list[Read] = []
        self.dead: list[str] = []
        self.channels = LocalChannels(
            names,
            options=OPTIONS,
            counts=BusCounts(),
            read_page=self._read,
            presence=Quiet(),
            dead_letter=lambda _, reason: self.dead.append(reason),
            observer=Quiet(),
            tracing=Tracing(None),
            defer=asyncio.get_running_loop().call_soon,
            spawn=tasks.create_task,
            monotonic=lambda: self.now,
            random=lambda: 0.5,
        )

    async def connect(self) -> None:
        """The inbox opens, empty and unbound."""
        self.undelivered.clear()
        self.inbox, self.connected = Inbox(), True
        await self.channels.opened(self.inbox)

    async def disconnect(self) -> None:
        """The broker, and what was in the inbox, is gone."""
        self.connected = self.inbox.is_open = False
        self.undelivered.clear()
        self.channels.lost()

    def route(self, delivery: Delivery) -> None:
        """Put a delivery in the inbox, if it is bound."""
        if self.connected and delivery.routing_key in self.inbox.keys:
            self.undelivered.append(delivery)

    def take(self, count: int) -> None:
        """Hand over the next deliveries."""
        for _ in range(min(count, len(self.undelivered))):
            self.channels.take(self.undelivered.popleft())

    def fail(self, read: Read) -> None:
        """Let a read get no answer."""
        self.reads.remove(read)
        read.answer.set_exception(ServiceUnavailableError("no reply"))

    def reply(self, read: Read, page: Page) -> None:
        """Let a read's answer arrive."""
        self.reads.remove(read)
        read.answer.set_result(page)

    async def _read(self, request: ReadRequest) -> Page:
        read = Read(request, asyncio.get_running_loop().create_future())
        self.reads.append(read)
        return await read.answer


class _EndError(Exception):
    """Ends a world."""


@asynccontextmanager
async def gateway_world(names: Namespaces) -> AsyncIterator[GatewayWorld]:
    """A world whose tasks end with the block."""
    try:
        async with asyncio.TaskGroup() as tasks:
            made = GatewayWorld(tasks, names)
            running = tasks.create_task(made.channels.binder.run())
            await made.connect()
            yield made
            running.cancel()
            raise _EndError
    except* _EndError:
        pass
