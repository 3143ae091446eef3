"""The bus keeps the port's promises on a real broker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import aio_pika
import pytest
from eventually import eventually
from proxy import proxied
from staging.bus import DEADLINE, Collector, Listener, Producer, bodies, consuming, numbered, running

from warren_shared.contracts.namespaces import parse_namespaces
from warren_shared.contracts.rpc import Failed
from warren_shared.messaging.amqp.bus import AmqpBus
from warren_shared.messaging.amqp.driver import Connect
from warren_shared.messaging.dead_letters import REASON_HEADER, dead_letter
from warren_shared.messaging.port import (
    BrokerUnavailableError,
    DeadlineExceededError,
    Delivery,
    Outgoing,
    PublishRejectedError,
)
from warren_shared.topology.catalogue import ExchangeName, QueueName, history_partition, namespace_bindings

pytestmark = pytest.mark.broker
NAMESPACES = parse_namespaces("namespaces: [{name: chat, history_size: 10, history_ttl: 60s}, {name: live}]")


async def test_a_burst_keeps_its_order_through_a_partition(broker_url: str, connect: Connect) -> None:
    collector = Collector()
    async with running(connect, broker_url, consuming(collector)) as bus:
        await bus.publish_all(numbered(500), deadline=DEADLINE)

        assert await collector.wait_for(500) == bodies(500)


async def test_properties_and_headers_arrive_as_they_were_sent(broker_url: str, connect: Connect) -> None:
    collector = Collector()
    sent = Outgoing(
        ExchangeName.PUBLISH, "chat.a", b"\x00\xff", {"tag-a": "1", "n": 7}, "id-1", "publication", "application/x"
    )
    async with running(connect, broker_url, consuming(collector)) as bus:
        await bus.publish(sent, deadline=DEADLINE)
        await collector.wait_for(1)

    got = collector.deliveries[0]
    assert (got.exchange, got.routing_key, got.body) == (ExchangeName.PUBLISH, "chat.a", b"\x00\xff")
    assert (dict(got.headers), got.message_id, got.type) == ({"tag-a": "1", "n": 7}, "id-1", "publication")
    assert (got.content_type, got.redelivered) == ("application/x", False)


async def test_a_batch_whose_handler_fails_comes_again_in_order_and_is_acked_once_it_succeeds(
    broker_url: str, connect: Connect
) -> None:
    collector, failures = Collector(), 2

    async def flaky(batch: Sequence[Delivery]) -> None:
        nonlocal failures
        if failures:
            failures -= 1
            raise ConnectionError("the store is away")
        await collector.add(batch)

    def prepare(bus: AmqpBus) -> None:
        for index in range(4):
            bus.consume(history_partition(index), flaky, max_batch=10)

    async with running(connect, broker_url, prepare) as bus:
        await bus.publish_all(numbered(50), deadline=DEADLINE)
        assert await collector.wait_for(50) == bodies(50)
        assert collector.deliveries[0].redelivered
    async with running(connect, broker_url, consuming(again := Collector())) as bus:
        await bus.publish(numbered(1)[0], deadline=DEADLINE)
        assert await again.wait_for(1) == [b"0"]


async def test_an_unroutable_publication_is_kept_as_a_dead_letter(broker_url: str, connect: Connect) -> None:
    collector = Collector()
    async with running(connect, broker_url, lambda bus: bus.consume(QueueName.DEAD, collector)) as bus:
        await bus.publish(Outgoing(ExchangeName.PUBLISH, "unknown.a", b"1"), deadline=DEADLINE)
        await collector.wait_for(1)

    assert collector.deliveries[0].routing_key == "unknown.a"


async def test_a_dead_letter_carries_its_reason_and_its_original_key(broker_url: str, connect: Connect) -> None:
    collector = Collector()
    original = Delivery(ExchangeName.PUBLISH, "chat.a", b"{", {"tag-a": "1"}, message_id="m")
    async with running(connect, broker_url, lambda bus: bus.consume(QueueName.DEAD, collector)) as bus:
        await bus.publish(dead_letter(original, "payload is no JSON", "history"), deadline=DEADLINE)
        await collector.wait_for(1)

    got = collector.deliveries[0]
    assert (got.routing_key, got.body, got.message_id) == ("chat.a", b"{", "m")
    assert (got.headers[REASON_HEADER], got.headers["tag-a"]) == ("payload is no JSON", "1")


async def test_a_refused_publication_is_told_apart_from_an_unreachable_broker(
    broker_url: str, connect: Connect
) -> None:
    connection = await aio_pika.connect(broker_url)
    async with connection, running(connect, broker_url) as bus:
        amqp_channel = await connection.channel()
        full = await amqp_channel.declare_queue(
            "full", exclusive=True, arguments={"x-max-length": 0, "x-overflow": "reject-publish"}
        )
        await full.bind(ExchangeName.EVENTS, "full")

        with pytest.raises(PublishRejectedError):
            await bus.publish(Outgoing(ExchangeName.EVENTS, "full", b""), deadline=DEADLINE)


async def test_a_burst_of_which_one_is_refused_fails_as_a_single_publication_does(
    broker_url: str, connect: Connect
) -> None:
    connection = await aio_pika.connect(broker_url)
    async with connection, running(connect, broker_url) as bus:
        amqp_channel = await connection.channel()
        full = await amqp_channel.declare_queue(
            "full", exclusive=True, arguments={"x-max-length": 0, "x-overflow": "reject-publish"}
        )
        await full.bind(ExchangeName.EVENTS, "full")

        with pytest.raises(PublishRejectedError):
            await bus.publish_all(numbered(5, key="full", exchange=ExchangeName.EVENTS), deadline=DEADLINE)


async def test_publishing_to_a_missing_exchange_fails_and_the_next_publish_works(
    broker_url: str, connect: Connect
) -> None:
    async with running(connect, broker_url) as bus:
        with pytest.raises(BrokerUnavailableError, match="NOT_FOUND"):
            await bus.publish(Outgoing("nowhere", "a", b""), deadline=DEADLINE)
        await bus.wait_ready(deadline=DEADLINE)
        await bus.publish(Outgoing(ExchangeName.PUBLISH, "live.a", b""), deadline=DEADLINE)


async def test_a_request_is_answered_and_a_failing_handler_answers_an_internal_error(
    broker_url: str, connect: Connect
) -> None:
    async def handler(request: Delivery) -> bytes:
        if request.body == b"fail":
            raise ValueError("a bug")
        return b"re: " + request.body

    async with running(connect, broker_url, lambda bus: bus.serve(QueueName.AUTH, handler)) as bus:
        answers = await asyncio.gather(
            *(bus.request(ExchangeName.RPC, "auth.connect", b"%d" % n, deadline=DEADLINE) for n in range(100))
        )
        failed = Failed.decode(await bus.request(ExchangeName.RPC, "auth.connect", b"fail", deadline=DEADLINE))

    assert answers == [b"re: %d" % n for n in range(100)]
    assert (failed.code, failed.temporary) == (100, True)
    assert "bug" not in failed.reason


async def test_a_request_nobody_answers_ends_at_its_deadline(broker_url: str, connect: Connect) -> None:
    async with running(connect, broker_url) as bus:
        with pytest.raises(DeadlineExceededError):
            await bus.request(ExchangeName.RPC, "nobody.home", b"", deadline=0.2)


async def test_bindings_follow_the_namespace_file(broker_url: str, connect: Connect) -> None:
    collector, namespaces = Collector(), NAMESPACES
    listener = Listener((ExchangeName.DELIVER, "chat.a"))
    keepers: list[Callable[[], None]] = []

    def prepare(bus: AmqpBus) -> None:
        consuming(collector)(bus)
        bus.open_inbox(listener)
        keepers.append(bus.keep_bindings(lambda: namespace_bindings(namespaces)))

    async with running(connect, broker_url, prepare) as bus:
        await bus.publish(Outgoing(ExchangeName.PUBLISH, "chat.a", b"durable"), deadline=DEADLINE)
        assert await collector.wait_for(1) == [b"durable"]

        namespaces = parse_namespaces("namespaces: [{name: chat}]")
        keepers[0]()
        await bus.wait_ready(deadline=DEADLINE)
        await bus.publish(Outgoing(ExchangeName.PUBLISH, "chat.a", b"live"), deadline=DEADLINE)
        async with asyncio.timeout(DEADLINE):
            await listener.arrived.wait()

    assert (listener.bodies, [d.body for d in collector.deliveries]) == ([b"live"], [b"durable"])


async def test_after_a_cut_everything_comes_back_and_nothing_confirmed_is_lost(
    broker_url: str, connect: Connect
) -> None:
    collector, listener = Collector(), Listener((ExchangeName.DELIVER, "live.a"))

    def prepare(bus: AmqpBus) -> None:
        consuming(collector)(bus)
        bus.open_inbox(listener)

    async with (
        proxied(broker_url) as (proxy, url),
        running(connect, url, prepare) as bus,
    ):
        await listener.opened.acquire()
        await bus.publish_all(numbered(100), deadline=DEADLINE)
        proxy.cut()
        async with asyncio.timeout(DEADLINE):
            await listener.opened.acquire()
        await bus.wait_ready(deadline=DEADLINE)
        await bus.publish(Outgoing(ExchangeName.PUBLISH, "chat.a", b"last"), deadline=DEADLINE)
        await bus.publish(Outgoing(ExchangeName.DELIVER, "live.a", b"live"), deadline=DEADLINE)
        async with asyncio.timeout(DEADLINE):
            await listener.arrived.wait()
            while collector.deliveries[-1].body != b"last":
                await collector.wait_for(len(collector.deliveries) + 1)

    assert listener.lost == 2
    assert collector.first_copies == [*bodies(100), b"last"]


async def test_order_and_confirms_hold_through_cuts_in_the_middle_of_a_stream(
    broker_url: str, connect: Connect
) -> None:
    collector = Collector()
    async with (
        proxied(broker_url) as (proxy, url),
        running(connect, url, consuming(collector, max_batch=5, prefetch=10)) as bus,
        asyncio.TaskGroup() as group,
    ):
        producer = Producer(bus)
        group.create_task(producer.run(400))
        for confirmed in (100, 200, 300):
            await producer.until(confirmed, deadline=30)
            proxy.cut()
        await producer.until(400, deadline=30)
        await collector.until(lambda: len(collector.first_copies) == 400, deadline=30)

    assert producer.failures
    assert collector.first_copies == bodies(400)


async def test_without_a_broker_publishing_fails_at_once_and_requests_too(broker_url: str, connect: Connect) -> None:
    async with proxied(broker_url) as (proxy, url), running(connect, url) as bus:
        proxy.accepting = False
        proxy.cut()
        await eventually(lambda: not bus.connected)

        with pytest.raises(BrokerUnavailableError):
            await bus.publish(Outgoing(ExchangeName.PUBLISH, "live.a", b""), deadline=DEADLINE)
        with pytest.raises(BrokerUnavailableError):
            await bus.request(ExchangeName.RPC, "auth.connect", b"", deadline=DEADLINE)
        assert not bus.send(Outgoing(ExchangeName.PUBLISH, "live.a", b""))


async def test_a_consumer_comes_back_when_its_deleted_queue_does(broker_url: str, connect: Connect) -> None:
    collector = Collector()
    connection = await aio_pika.connect(broker_url)
    async with connection:
        amqp_channel = await connection.channel()
        await amqp_channel.declare_queue("mine", durable=True)
        async with running(connect, broker_url, lambda bus: bus.consume("mine", collector)) as bus:
            await amqp_channel.queue_delete("mine")
            await amqp_channel.declare_queue("mine", durable=True)
            await bus.publish(Outgoing("", "mine", b"back"), deadline=DEADLINE)

            assert await collector.wait_for(1) == [b"back"]
            await amqp_channel.queue_delete("mine")


async def test_a_bus_whose_queue_was_deleted_is_connected_and_not_ready(broker_url: str, connect: Connect) -> None:
    connection = await aio_pika.connect(broker_url)
    async with connection:
        amqp_channel = await connection.channel()
        await amqp_channel.declare_queue("mine", durable=True)
        async with running(connect, broker_url, lambda bus: bus.consume("mine", Collector())) as bus:
            await amqp_channel.queue_delete("mine")

            await eventually(lambda: not bus.ready, what="not ready without its queue")
            assert bus.connected
