"""A partition at work on the bus: replies, pushes, dead letters, probes, requests, spans, metrics."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import orjson
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, format_span_id, format_trace_id
from structlog.testing import capture_logs

from warren_presence.domain.partition import Partition
from warren_presence.domain.syncs import Syncs
from warren_presence.handlers.ticker import Ticker
from warren_presence.handlers.worker import PartitionWorker
from warren_presence.metrics import (
    ACTIVE,
    ANNOUNCED,
    CATALOGUE,
    DEAD_LETTERED,
    GATEWAYS,
    MEMBERS,
    QUERIES,
    REQUESTS,
    collector,
)
from warren_shared.contracts.envelope import Message
from warren_shared.contracts.namespaces import parse_namespaces
from warren_shared.contracts.presence import Members, Probe, Query, SnapshotRequest, Stats
from warren_shared.messaging.dead_letters import REASON_HEADER, SERVICE_HEADER
from warren_shared.messaging.port import Delivery, Outgoing
from warren_shared.observability.tracing import Tracing

from .fakes import FakeClock, FakePublisher
from .presence_driver import Reports

QUEUE = "warren.presence.0"
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Setup:
    """A worker with a ticker, on fakes; probes come back when ``deliver_probes`` is called."""

    def __init__(self, tracing: Tracing | None = None) -> None:
        self.publisher, self.clock, syncs = FakePublisher(), FakeClock(), Syncs("p")
        partition = Partition("p", syncs, max_members=100, max_held=10)
        self.namespaces = "namespaces: [{name: chat, presence: true}]"
        self.worker = PartitionWorker(
            QUEUE,
            partition,
            self.publisher,
            self.clock,
            tracing or Tracing(None),
            lambda: parse_namespaces(self.namespaces),
        )
        self.ticker = Ticker([self.worker], syncs, self.publisher)

    async def deliver(self, *messages: Message) -> None:
        await self.worker.handle([presence_delivery(message) for message in messages])

    async def pass_time(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.25)):
            self.clock.seconds += 0.25
            self.ticker.tick()
            probes = [sent for sent in self.publisher.sent if sent.routing_key == QUEUE]
            self.publisher.sent = [sent for sent in self.publisher.sent if sent.routing_key != QUEUE]
            if probes:
                await self.worker.handle([Delivery("", QUEUE, probe.body) for probe in probes])

    def requests(self) -> list[Outgoing]:
        return [sent for sent in self.publisher.sent if sent.exchange == "warren.control"]

    async def settle(self, gateway: Reports) -> None:
        await self.deliver(gateway.beat())
        self.ticker.tick()
        request = SnapshotRequest.decode(self.requests()[-1].body)
        await self.deliver(gateway.synced(request.sync))
        await self.pass_time(2)
        self.publisher.sent.clear()


def presence_delivery(message: Message, **headers: str) -> Delivery:
    return Delivery(
        "warren.presence", "chat.room", message.encode(), headers=headers, reply_to="asker", correlation_id="7"
    )


@pytest.fixture
def gateway() -> Reports:
    return Reports("g1")


@pytest.fixture
async def setup(gateway: Reports) -> Setup:
    setup = Setup()
    await setup.settle(gateway)
    return setup


async def test_pushes_go_to_the_channels_gateways_and_are_confirmed_before_the_batch_is(
    setup: Setup, gateway: Reports
) -> None:
    setup.publisher.gate.clear()
    batch = asyncio.create_task(setup.deliver(gateway.joined("c1", "chat:room"), gateway.left("c1", "chat:room")))
    await setup.publisher.attempted.wait()
    assert not batch.done()

    setup.publisher.gate.set()
    await batch

    body = b'{"user":"u","client":"c1"}'
    assert setup.publisher.confirmed == [
        Outgoing("warren.deliver", "chat.room", body, type="join"),
        Outgoing("warren.deliver", "chat.room", body, type="leave"),
    ]


async def test_queries_are_answered_to_who_asked(setup: Setup, gateway: Reports) -> None:
    await setup.deliver(
        gateway.joined("c1", "chat:room"), Query(channel="chat:room"), Query(channel="chat:room", stats=True)
    )

    members, stats = setup.publisher.sent
    assert {(each.exchange, each.routing_key, each.correlation_id) for each in (members, stats)} == {("", "asker", "7")}
    assert [member.client for member in Members.decode(members.body).members] == ["c1"]
    assert Stats.decode(stats.body) == Stats(clients=1, users=1)


async def test_a_reply_that_cannot_be_sent_is_counted(setup: Setup) -> None:
    setup.publisher.up = False

    await setup.deliver(Query(channel="chat:room"))

    assert setup.worker.replies_dropped == 1


async def test_many_bad_messages_are_logged_at_a_bounded_rate_and_counted_exactly(setup: Setup) -> None:
    with capture_logs() as logs:
        await setup.worker.handle([Delivery("warren.presence", "chat.room", b"garbage")] * 200)

    assert (len(logs), setup.worker.dead_lettered) == (10, 200)


async def test_what_cannot_be_read_is_dead_lettered_and_its_neighbours_are_handled(
    setup: Setup, gateway: Reports
) -> None:
    bad = Delivery("warren.presence", "chat.room", b'{"type":"presence.unheard_of","v":1}', tag=3)

    with capture_logs() as logs:
        await setup.worker.handle(
            [
                presence_delivery(gateway.joined("c1", "chat:room")),
                bad,
                presence_delivery(gateway.joined("c2", "chat:room")),
            ]
        )

    first, letter, second = setup.publisher.confirmed
    assert (first.type, second.type) == ("join", "join")
    assert (letter.exchange, letter.routing_key, letter.body) == ("warren.dead", "chat.room", bad.body)
    assert letter.headers[SERVICE_HEADER] == "presence"
    assert "presence.unheard_of" in str(letter.headers[REASON_HEADER])
    assert setup.worker.dead_lettered == 1
    assert [line["event"] for line in logs] == ["delivery_dead_lettered"]


async def test_probes_go_to_the_partitions_own_queue(setup: Setup) -> None:
    setup.clock.seconds += 1
    setup.ticker.tick()

    (probe,) = setup.publisher.sent
    assert (probe.exchange, probe.routing_key) == ("", QUEUE)
    assert Probe.decode(probe.body).sent_at == setup.clock.seconds


async def test_snapshot_requests_go_to_all_gateways_or_to_one(gateway: Reports) -> None:
    setup = Setup()
    await setup.deliver(gateway.beat())
    setup.ticker.tick()

    (request,) = setup.requests()
    assert request.routing_key == "all.presence"
    await setup.deliver(gateway.synced(SnapshotRequest.decode(request.body).sync))
    await setup.pass_time(2)
    await setup.deliver(Reports("g2").beat())
    setup.ticker.tick()

    assert [request.routing_key for request in setup.requests()] == ["all.presence", "gateway.g2"]


async def test_a_new_consumer_whose_tags_begin_anew_makes_the_partition_ask_again(
    setup: Setup, gateway: Reports
) -> None:
    async def deliver(*tags: int) -> None:
        beat = presence_delivery(gateway.beat())
        await setup.worker.handle([replace(beat, tag=tag) for tag in tags])

    await deliver(1, 2)
    await deliver(3)
    assert setup.worker.partition.resumed == 0

    await deliver(1)
    await deliver(2, 3)

    assert setup.worker.partition.resumed == 1


async def test_a_snapshot_request_that_cannot_be_sent_is_sent_later(gateway: Reports) -> None:
    setup = Setup()
    setup.publisher.up = False
    await setup.deliver(gateway.beat())
    setup.ticker.tick()

    setup.publisher.up = True
    setup.ticker.tick()
    setup.ticker.tick()

    assert [request.routing_key for request in setup.requests()] == ["all.presence"]
    assert setup.ticker.requests == 1


async def test_backends_are_told_of_a_channels_first_occupant_and_its_last_ones_end_where_they_are_to_know(
    setup: Setup, gateway: Reports
) -> None:
    def told() -> list[tuple[str, str]]:
        events = [sent for sent in setup.publisher.confirmed if sent.exchange == "warren.events"]
        return [(event.routing_key, orjson.loads(event.body)["channel"]) for event in events]

    await setup.deliver(gateway.joined("c1", "chat:room"), gateway.left("c1", "chat:room"))
    assert told() == []

    setup.namespaces = "namespaces: [{name: chat, presence: true, occupancy_events: true}]"
    await setup.deliver(gateway.joined("c1", "chat:room"), gateway.joined("c2", "chat:room"))
    assert told() == [("channel.occupied", "chat:room")]
    await setup.deliver(gateway.left("c1", "chat:room"), gateway.left("c2", "chat:room"))
    assert told() == [("channel.occupied", "chat:room"), ("channel.vacated", "chat:room")]
    assert setup.worker.told == {"channel.occupied": 1, "channel.vacated": 1}


async def test_the_partitions_of_a_process_share_a_snapshot_request(gateway: Reports) -> None:
    publisher, clock, syncs = FakePublisher(), FakeClock(), Syncs("p")
    workers = [
        PartitionWorker(
            f"warren.presence.{index}",
            Partition("p", syncs, max_members=1, max_held=1),
            publisher,
            clock,
            Tracing(None),
            lambda: parse_namespaces("namespaces: []"),
        )
        for index in range(4)
    ]
    for worker in workers:
        await worker.handle([presence_delivery(gateway.beat())])

    Ticker(workers, syncs, publisher).tick()

    assert [sent.routing_key for sent in publisher.sent if sent.exchange == "warren.control"] == ["all.presence"]


async def test_announcements_that_nobody_needs_any_more_are_dropped_with_the_partition(
    setup: Setup, gateway: Reports
) -> None:
    setup.publisher.up = False
    batch = asyncio.create_task(setup.deliver(gateway.joined("c1", "chat:room")))
    await setup.publisher.attempted.wait()

    setup.clock.seconds += 61
    with capture_logs() as logs:
        setup.ticker.tick()

    async with asyncio.timeout(10):
        await batch
    assert "partition_given_up" in {line["event"] for line in logs}
    assert len(setup.worker.outbox) == 0


async def test_a_gateway_that_expires_is_logged_and_its_members_are_pushed_out(setup: Setup, gateway: Reports) -> None:
    await setup.deliver(gateway.joined("c1", "chat:room"))

    with capture_logs() as logs:
        await setup.pass_time(10)

    (line,) = [line for line in logs if line["event"] == "gateway_expired"]
    assert (line["gateway"], line["members"], line["log_level"]) == ("g1", 1, "warning")
    assert [push.type for push in setup.publisher.confirmed] == ["join", "leave"]


async def test_a_sampled_report_has_one_span_that_its_push_continues(gateway: Reports) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    setup = Setup(Tracing(provider))
    await setup.settle(gateway)
    sampled = presence_delivery(gateway.joined("c1", "chat:room"), traceparent=f"00-{TRACE}-{PARENT}-01")

    await setup.worker.handle([sampled, presence_delivery(gateway.joined("c2", "chat:room"))])

    (span,) = exporter.get_finished_spans()
    assert (span.name, span.kind) == ("process warren.presence", SpanKind.CONSUMER)
    assert span.parent is not None
    assert (format_trace_id(span.parent.trace_id), format_span_id(span.parent.span_id)) == (TRACE, PARENT)
    with_trace, without = setup.publisher.confirmed
    context = span.get_span_context()
    assert context is not None
    own = format_span_id(context.span_id)
    assert with_trace.headers["traceparent"] == f"00-{TRACE}-{own}-01"
    assert not without.headers


async def test_a_reply_to_a_sampled_query_continues_its_trace(gateway: Reports) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    setup = Setup(Tracing(provider))
    await setup.settle(gateway)

    await setup.worker.handle([presence_delivery(Query(channel="chat:room"), traceparent=f"00-{TRACE}-{PARENT}-01")])

    assert len(exporter.get_finished_spans()) == 1
    assert TRACE in str(setup.publisher.sent[0].headers["traceparent"])


async def test_metrics_are_those_of_the_catalogue(setup: Setup, gateway: Reports) -> None:
    await setup.deliver(gateway.joined("c1", "chat:room"), Query(channel="chat:room"))
    await setup.worker.handle([Delivery("warren.presence", "chat.room", b"?")])

    readings = list(collector([setup.worker], setup.ticker)())

    assert {reading.spec for reading in readings} == set(CATALOGUE)
    values = {(reading.spec, *reading.labels): reading.value for reading in readings}
    assert values[ACTIVE, "0"] == 1
    assert values[GATEWAYS, "0"] == 1
    assert values[MEMBERS, "0"] == 1
    assert values[ANNOUNCED, "join"] == 1
    assert values[QUERIES, "answered"] == 1
    assert values[DEAD_LETTERED, "0"] == 1
    assert values[REQUESTS,] == 1


async def test_log_lines_quote_nothing_of_a_members_info(setup: Setup) -> None:
    report = {
        "type": "presence.joined",
        "gateway": "g1",
        "incarnation": "g1-run1",
        "started": 1.0,
        "channel": "chat:room",
        "member": {"client": "c1", "conn_info": '"confidential'},
    }

    with capture_logs() as logs:
        await setup.worker.handle([Delivery("warren.presence", "chat.room", orjson.dumps(report))])

    assert setup.worker.dead_lettered == 1
    assert "confidential" not in str(logs)
