"""The bus side as a whole, between a bus in memory and a client; and its metrics."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from warren_gateway.bus_metrics import CATALOGUE
from warren_gateway.bus_options import BusSideOptions
from warren_gateway.bus_side import bus_side
from warren_gateway.identity import GatewayIdentity
from warren_gateway.ports import Channels, ClientMessage, Services, Subscribe, Subscribed
from warren_shared.contracts.codes import Errors
from warren_shared.contracts.envelope import decode_one_of
from warren_shared.contracts.history import Page
from warren_shared.contracts.presence import Heartbeat, Joined, Left, Member, Stopped
from warren_shared.messaging.port import BatchHandler, BindingPlan, Caller, Delivery, InboxListener, RequestHandler
from warren_shared.observability.metrics import AnyReading, Collect, HistogramReading
from warren_shared.observability.tracing import Tracing
from warren_shared.runtime.clock import SystemClock
from warren_shared.runtime.namespace_watcher import NamespaceWatcher
from warren_shared.runtime.ops import OpsServer
from warren_shared.runtime.service import Context

from .bus_fakes import NAMESPACES, Client, FakeCaller, FakeInbox, FakePublisher
from .bus_world import live, settle


class MemoryBus(FakePublisher):
    """A bus whose inbox a test opens and fills."""

    connected = ready = True

    def __init__(self) -> None:
        super().__init__()
        self.listener: InboxListener | None = None
        self.inbox = FakeInbox()

    def open_inbox(self, listener: InboxListener, *, max_length: int = 100_000) -> None:
        assert max_length > 0
        self.listener = listener

    async def open(self) -> None:
        assert self.listener is not None
        self.inbox = FakeInbox()
        await self.listener.on_open(self.inbox)
        await settle()

    async def deliver(self, *deliveries: Delivery) -> None:
        assert self.listener is not None
        self.listener.on_deliveries(deliveries)
        await settle()

    async def request(self, exchange: str, routing_key: str, body: bytes, *, deadline: float) -> bytes:
        assert (exchange, routing_key) == ("warren.rpc", "history.read")
        assert body
        assert deadline > 0
        return Page(epoch="E", top=0).encode()

    def open_calls(self) -> Caller:
        return FakeCaller()

    def consume(self, queue: str, handler: BatchHandler, *, max_batch: int = 256, prefetch: int = 512) -> None:
        raise NotImplementedError

    def serve(self, queue: str, handler: RequestHandler, *, concurrency: int = 64) -> None:
        raise NotImplementedError

    def keep_bindings(self, current: Callable[[], BindingPlan]) -> Callable[[], None]:
        raise NotImplementedError

    async def run(self) -> None:
        raise NotImplementedError

    async def wait_ready(self, *, deadline: float) -> None:
        raise NotImplementedError


class Ops(OpsServer):
    """Keeps the sources of metrics where a test finds them."""

    def __init__(self) -> None:
        super().__init__("127.0.0.1", 0)
        self.sources: list[Collect] = []

    def add_metrics(self, collect: Collect) -> None:
        self.sources.append(collect)

    def scrape(self) -> Sequence[AnyReading]:
        return [reading for source in self.sources for reading in source()]


class _EndError(Exception):
    """Ends the tasks."""


class Side:
    def __init__(
        self, bus: MemoryBus, ops: Ops, namespaces: NamespaceWatcher, channels: Channels, services: Services
    ) -> None:
        self.bus, self.ops, self.namespaces = bus, ops, namespaces
        self.channels, self.services = channels, services

    def value(self, name: str, *labels: str) -> float:
        (found,) = [
            each.value
            for each in self.ops.scrape()
            if not isinstance(each, HistogramReading) and each.spec.name == name and each.labels == labels
        ]
        return found


@asynccontextmanager
async def side(folder: Path) -> AsyncIterator[Side]:
    file = folder / "namespaces.yml"
    file.write_text(NAMESPACES)
    bus, ops = MemoryBus(), Ops()
    try:
        async with asyncio.TaskGroup() as tasks:
            context = Context(bus, NamespaceWatcher(file), SystemClock(), tasks, ops, Tracing(None))
            identity = GatewayIdentity("gw", "run", 1.0)
            async with bus_side(context, BusSideOptions(), identity, lambda: (2, 1)) as (channels, services, _):
                await bus.open()
                yield Side(bus, ops, context.namespaces, channels, services)
            raise _EndError
    except* _EndError:
        pass


async def test_a_client_subscribes_is_entered_into_presence_and_receives(tmp_path: Path) -> None:
    async with side(tmp_path) as made:
        client = Client("c")
        request = Subscribe("chat:a", positioned=True, member=Member(client="c"), announce=True)
        made.channels.subscribe(request, client, client.done)
        await settle()
        assert isinstance(client.reply, Subscribed)
        await made.bus.deliver(Delivery("warren.deliver", "chat.a", b"1", {"offset": 1, "epoch": "E"}))
        assert client.data == [1]
        assert [decode_one_of(each.body, Joined) for each in made.bus.confirmed] == [
            Joined(
                gateway="gw", incarnation="run", started=1.0, channel="chat:a", member=Member(client="c"), announce=True
            )
        ]
        made.channels.unsubscribe("chat:a", client)
    last = [decode_one_of(each.body, Joined, Left, Stopped) for each in made.bus.confirmed[-2:]]
    assert [type(each) for each in last] == [Left, Stopped], "presence is told the rest, and that it is over"
    assert isinstance(decode_one_of(made.bus.sent[0].body, Heartbeat), Heartbeat)


async def test_what_backends_are_to_be_told_is_told_before_the_end(tmp_path: Path) -> None:
    async with side(tmp_path) as made:
        made.bus.confirming = lambda: asyncio.sleep(0.01)
        for number in range(3000):
            made.services.tell(ClientMessage(b"%d" % number, "alice", "c", None))
    told = [each.body for each in made.bus.confirmed if each.routing_key == "client.message"]
    assert told == [b"%d" % number for number in range(3000)]


async def test_what_is_not_understood_becomes_a_dead_letter_and_a_count(tmp_path: Path) -> None:
    async with side(tmp_path) as made:
        client = Client("c")
        made.channels.subscribe(Subscribe("live:a"), client, client.done)
        await settle()
        await made.bus.deliver(live("live:a", b"{"), live("live:a", b"2"))
        assert client.data == [2]
        assert [each.exchange for each in made.bus.sent if each.exchange == "warren.dead"] == ["warren.dead"]
        assert made.value("warren_gateway_malformed", "live") == 1
        assert made.value("warren_gateway_dead_letters") == 1


async def test_a_namespace_file_that_changes_is_taken_over(tmp_path: Path) -> None:
    async with side(tmp_path) as made:
        client = Client("c")
        made.channels.subscribe(Subscribe("new:a"), client, client.done)
        (tmp_path / "namespaces.yml").write_text("namespaces: [{name: new}]")
        made.namespaces.reload()
        made.namespaces.reload()
        made.channels.subscribe(Subscribe("new:a"), client, client.done)
        await settle()
        assert client.replies == [Errors.UNKNOWN_CHANNEL, Subscribed()]


async def test_a_namespace_nobody_has_used_yet_is_counted_from_0(tmp_path: Path) -> None:
    async with side(tmp_path) as made:
        assert made.value("warren_gateway_insufficient", "chat") == 0
        (tmp_path / "namespaces.yml").write_text("namespaces: [{name: new}]")
        made.namespaces.reload()
        made.namespaces.reload()  # a change counts once two reads have shown it
        assert made.value("warren_gateway_insufficient", "new") == 0


async def test_every_reading_is_of_the_catalogue_and_every_metric_is_read(tmp_path: Path) -> None:
    async with side(tmp_path) as made:
        client = Client("c")
        made.channels.subscribe(Subscribe("live:a"), client, client.done)
        made.channels.subscribe(Subscribe("plain"), client, client.done)
        await settle()
        await made.bus.deliver(live("live:a", b"1"), live("live:b", b"1"))
        readings = made.ops.scrape()
        assert {reading.spec for reading in readings} == set(CATALOGUE)
        assert all(len(reading.labels) == len(reading.spec.labels) for reading in readings)
        assert all(reading.spec.name.startswith("warren_gateway_") and reading.spec.help for reading in readings)
        assert made.value("warren_gateway_publications", "live") == 1
        assert made.value("warren_gateway_deliveries", "live") == 1
        assert made.value("warren_gateway_filtered") == 1
        assert made.value("warren_gateway_channels", "_") == 1
        assert made.value("warren_gateway_subscriptions", "live") == 1
        assert made.value("warren_gateway_bound_keys") == 2
