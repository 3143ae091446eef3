"""Whoever does not read is not written to without end: a broker that stalls stops publishers, a handler that does not
return stops the broker, and an inbox nobody empties loses its oldest.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

import aio_pika
import pytest
from eventually import eventually
from proxy import proxied
from staging.bus import DEADLINE, Collector, Listener, Prepare, bodies, consuming, numbered, running
from staging.memory import measured
from staging.stage import Stage

from warren_shared.messaging.amqp.bus import CONNECTS, AmqpBus
from warren_shared.messaging.amqp.driver import Connect
from warren_shared.messaging.lane.connection import WRITE_BUFFER
from warren_shared.messaging.lane.connection import connect as connect_lane
from warren_shared.messaging.port import DeadlineExceededError, Delivery, Outgoing
from warren_shared.topology.catalogue import ExchangeName

pytestmark = [pytest.mark.broker, pytest.mark.timeout(120)]

MESSAGE = 65_536
SOCKETS = 16 * 2**20
"""More than the operating system takes into the sockets of one connection, in bytes."""

PUBLISHING = ("*/warren_shared/messaging/*", "*/aiormq/*")
"""Where what a publisher keeps is allocated: not in the proxy, and not by other threads of this process."""


def large(*, key: str = "live.a") -> Outgoing:
    """Return a message with bytes of its own."""
    return Outgoing(ExchangeName.PUBLISH, key, bytes(MESSAGE))


async def test_a_stalled_broker_stops_publishers_and_little_is_kept(broker_url: str, connect: Connect) -> None:
    """64 MiB are offered. What the sockets took is not of this process; the rest was given up."""

    async def try_once(bus: AmqpBus) -> None:
        with pytest.raises(DeadlineExceededError):
            await bus.publish(large(), deadline=0.1)

    async with proxied(broker_url) as (proxy, url), running(connect, url, heartbeat=60) as bus:
        proxy.stall()  # for less than the seven seconds after which a lane gives a silent link up
        with measured(__file__, *PUBLISHING) as kept:
            for _ in range(16):
                await asyncio.gather(*(try_once(bus) for _ in range(64)))
        proxy.flow()
        await bus.publish(large(), deadline=DEADLINE)  # and all is well again, on the same connections
        assert [reading.value for reading in bus.readings() if reading.spec is CONNECTS] == [1, 1]
    assert kept.bytes < 2 * 2**20, kept.where


async def test_a_lane_keeps_two_write_buffers_and_a_message_at_most(broker_url: str) -> None:
    async with proxied(broker_url) as (proxy, url):
        connection = await connect_lane(url, name="test", heartbeat=60)
        async with connection.amqp_channel(confirms=True) as amqp_channel:
            proxy.stall()
            publications = (amqp_channel.publish(large(), deadline=1.0) for _ in range(2 * SOCKETS // MESSAGE))
            outcomes = await asyncio.gather(*publications, return_exceptions=True)
            assert {type(outcome) for outcome in outcomes} == {DeadlineExceededError}
            transport = connection._transport
            assert transport is not None
            kept = transport.get_write_buffer_size() + connection._outgoing_bytes
            proxy.flow()
            await amqp_channel.publish(large(), deadline=DEADLINE)
        await connection.close()
    assert WRITE_BUFFER < kept < 2 * WRITE_BUFFER + MESSAGE + 1000


async def test_who_waits_for_a_stalled_broker_is_let_through_in_order(broker_url: str, connect: Connect) -> None:
    collector, padding = Collector(), bytes(MESSAGE)
    messages = [Outgoing(ExchangeName.PUBLISH, "chat.a", each.body + padding) for each in numbered(500)]

    async with (
        running(connect, broker_url, consuming(collector)),
        proxied(broker_url) as (proxy, url),
        running(connect, url, heartbeat=60) as bus,
        asyncio.TaskGroup() as group,
    ):
        proxy.stall()
        publishing = [group.create_task(bus.publish(message, deadline=60)) for message in messages]
        with pytest.raises(DeadlineExceededError):
            await bus.publish(large(), deadline=0.5)  # behind them all: the stall has reached the publishers
        assert not any(task.done() for task in publishing)
        proxy.flow()
        await asyncio.gather(*publishing)
        await collector.until(lambda: len(collector.deliveries) >= 500, deadline=30)

    assert [delivery.body.rstrip(b"\0") for delivery in collector.deliveries] == bodies(500)


async def test_a_handler_that_does_not_return_is_brought_no_more_than_the_prefetch(
    broker_url: str, connect: Connect
) -> None:
    collector, released = Collector(), asyncio.Event()

    async def handler(batch: Sequence[Delivery]) -> None:
        await released.wait()
        await collector.add(batch)

    async with (
        queue_of_its_own(broker_url) as queue,
        running(connect, broker_url, lambda bus: bus.consume(queue.name, handler, max_batch=7, prefetch=20)) as bus,
    ):
        for already in (0, 100):
            burst = [Outgoing("", queue.name, each.body) for each in numbered(already + 100)[already:]]
            await bus.publish_all(burst, deadline=DEADLINE)
            await eventually(partial(waiting_in, queue, already + 80), what="all but the prefetch waits at the broker")
        released.set()
        assert await collector.wait_for(200) == bodies(200)
        await eventually(partial(waiting_in, queue, 0), what="the broker knows that all is done")


@asynccontextmanager
async def queue_of_its_own(url: str) -> AsyncIterator[aio_pika.abc.AbstractQueue]:
    async with await aio_pika.connect(url) as connection:
        amqp_channel = await connection.channel()
        queue = await amqp_channel.declare_queue("prefetched", durable=True)
        try:
            yield queue
        finally:
            await queue.delete(if_unused=False, if_empty=False)


async def waiting_in(queue: aio_pika.abc.AbstractQueue, count: int) -> bool:
    """Whether so many messages are in the queue that nobody was brought."""
    return (await queue.channel.declare_queue(queue.name, passive=True)).declaration_result.message_count == count


class Asleep(Listener):
    """An inbox's owner whose whole event loop stands still from the first delivery until it is woken."""

    def __init__(self) -> None:
        super().__init__((ExchangeName.DELIVER, "live.a"))
        self.fell_asleep, self.wake = threading.Event(), threading.Event()

    def on_deliveries(self, deliveries: Sequence[Delivery]) -> None:
        self.fell_asleep.set()
        self.wake.wait(60)
        super().on_deliveries([Delivery(each.exchange, each.routing_key, each.body[:8]) for each in deliveries])


async def test_an_inbox_that_is_not_read_loses_its_oldest_at_the_broker(
    broker_url: str, connect: Connect, stage: Stage
) -> None:
    """128 MiB come for a process that stands still: the broker keeps so many messages as it was told, the sockets what
    they hold, and the process nothing.
    """
    sleeper, count, kept_by_broker, padding = Asleep(), 2048, 100, bytes(MESSAGE)
    prepare: Prepare = lambda bus: bus.open_inbox(sleeper, max_length=kept_by_broker)  # noqa: E731 - shorter so
    async with (
        running(connect, broker_url) as bus,
        stage.holding(lambda: running(connect, broker_url, prepare, heartbeat=60)),
    ):
        try:
            with measured() as kept:
                for number in range(count):
                    message = Outgoing(ExchangeName.DELIVER, "live.a", b"%08d" % number + padding)
                    await bus.publish(message, deadline=DEADLINE)
            assert sleeper.fell_asleep.is_set()
        finally:
            sleeper.wake.set()
        newest = [b"%08d" % number for number in range(count - kept_by_broker, count)]
        await eventually(lambda: sleeper.bodies[-1:] == newest[-1:], deadline=30, what="the newest arrived")

    assert kept.bytes < 2 * 2**20
    assert sleeper.bodies[-kept_by_broker:] == newest
    assert sleeper.bodies == sorted(set(sleeper.bodies))
    assert len(sleeper.bodies) < count / 2
