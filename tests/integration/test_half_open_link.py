"""A link that swallows everything and closes nothing: both sides of the bus notice, by heartbeats or by asking, and
come back once there is a way again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import aio_pika
import pytest
from eventually import eventually
from proxy import proxied
from staging.bus import DEADLINE, Collector, Listener, Producer, bodies, consuming, running
from staging.memory import measured

from warren_shared.contracts.namespaces import parse_namespaces
from warren_shared.messaging.amqp.bus import CONNECTED, AmqpBus
from warren_shared.messaging.amqp.driver import Connect
from warren_shared.messaging.drivers import CONNECT, BrokerDriver
from warren_shared.messaging.port import DeadlineExceededError, Delivery, Outgoing
from warren_shared.topology.catalogue import ExchangeName, QueueName, namespace_bindings

pytestmark = [pytest.mark.broker, pytest.mark.timeout(120)]

HEARTBEAT = 1
NOTICED = {CONNECT[BrokerDriver.LANE]: 2.5 * HEARTBEAT, CONNECT[BrokerDriver.AIO_PIKA]: 4.0 * (HEARTBEAT + 1)}
"""Seconds after which a driver knows at the latest."""
ASKED = 10.0
"""Seconds within which a silent broker is noticed by asking it, two of them to give the old connection up."""
SLACK = 2.0
COMING_BACK = 30.0
"""An attempt to connect may be under way in the hole, and has ten seconds."""
NAMESPACES = parse_namespaces("namespaces: [{name: chat, history_size: 10, history_ttl: 60s}, {name: live}]")


def connected(bus: AmqpBus) -> dict[str, bool]:
    """Return by link whether the bus believes that it is connected."""
    return {reading.labels[0]: bool(reading.value) for reading in bus.readings() if reading.spec is CONNECTED}


async def test_both_sides_notice_within_heartbeats_and_come_back_with_everything_in_order(
    broker_url: str, connect: Connect
) -> None:
    collector, listener = Collector(), Listener((ExchangeName.DELIVER, "live.a"))

    async def answer(request: Delivery) -> bytes:
        return b"re: " + request.body

    def prepare(bus: AmqpBus) -> None:
        consuming(collector, max_batch=5, prefetch=10)(bus)
        bus.open_inbox(listener)
        bus.serve(QueueName.AUTH, answer)
        bus.keep_bindings(lambda: namespace_bindings(NAMESPACES))

    async with (
        proxied(broker_url) as (proxy, url),
        running(connect, url, prepare, heartbeat=HEARTBEAT) as bus,
        asyncio.TaskGroup() as group,
    ):
        await listener.opened.acquire()
        producer = Producer(bus)
        group.create_task(producer.run(300))
        await producer.until(100)
        proxy.black_hole()
        await both_notice(bus, NOTICED[connect])
        assert listener.lost == 1
        await unbind_live(broker_url)

        proxy.fill_hole()
        async with asyncio.timeout(COMING_BACK):
            await listener.opened.acquire()
        await bus.wait_ready(deadline=COMING_BACK)
        assert await bus.request(ExchangeName.RPC, "auth.connect", b"1", deadline=DEADLINE) == b"re: 1"
        await bus.publish(Outgoing(ExchangeName.PUBLISH, "live.a", b"live"), deadline=DEADLINE)
        await eventually(lambda: listener.bodies == [b"live"], what="the new inbox is bound")
        await producer.until(300, deadline=COMING_BACK)
        await collector.until(lambda: len(collector.first_copies) == 300, deadline=COMING_BACK)

    assert producer.failures  # it was cut short, or this shows nothing
    assert collector.first_copies == bodies(300)


async def test_a_lane_notices_within_ten_seconds_whatever_its_heartbeat_and_comes_back(broker_url: str) -> None:
    listener, lane = Listener((ExchangeName.DELIVER, "live.a")), CONNECT[BrokerDriver.LANE]

    async with (
        proxied(broker_url) as (proxy, url),
        running(lane, url, lambda bus: bus.open_inbox(listener), heartbeat=600) as bus,
    ):
        await listener.opened.acquire()
        proxy.black_hole()
        await eventually(
            lambda: not any(connected(bus).values()), deadline=ASKED, what="both links are known to be dead"
        )
        assert listener.lost == 1

        proxy.fill_hole()
        async with asyncio.timeout(COMING_BACK):
            await listener.opened.acquire()
        await bus.wait_ready(deadline=COMING_BACK)
        await bus.publish(Outgoing(ExchangeName.DELIVER, "live.a", b"live"), deadline=DEADLINE)
        await eventually(lambda: listener.bodies == [b"live"], what="the new inbox is bound")


async def both_notice(bus: AmqpBus, seconds: float) -> None:
    """Hold what is under way to its deadline, and the bus to noticing so soon that both links are dead."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    message = Outgoing(ExchangeName.PUBLISH, "live.a", b"swallowed")
    async with asyncio.TaskGroup() as group:
        group.create_task(ends_in_time(bus.publish(message, deadline=HEARTBEAT)))
        group.create_task(ends_in_time(bus.request(ExchangeName.RPC, "auth.connect", b"", deadline=HEARTBEAT)))
    await eventually(
        lambda: not any(connected(bus).values()), deadline=seconds + SLACK, what="both links are known to be dead"
    )
    assert loop.time() - began < seconds + SLACK


async def ends_in_time(attempt: Awaitable[object]) -> None:
    """Hold what is under way in the hole to HEARTBEAT seconds, too few to notice anything."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(DeadlineExceededError):
        await attempt
    assert HEARTBEAT <= loop.time() - began < HEARTBEAT + SLACK


async def unbind_live(url: str) -> None:
    """Take away a binding that the bus keeps."""
    async with await aio_pika.connect(url) as connection:
        amqp_channel = await connection.channel()
        deliver = await amqp_channel.get_exchange(ExchangeName.DELIVER, ensure=False)
        await deliver.unbind(ExchangeName.PUBLISH, "live.#")


async def test_nothing_is_kept_of_what_was_swallowed_and_given_up(broker_url: str, connect: Connect) -> None:
    """64 MiB leave this process and are never confirmed; each message has bytes of its own."""
    size, at_once, rounds = 65_536, 64, 16

    async def give_up(bus: AmqpBus) -> None:
        with pytest.raises(DeadlineExceededError):
            await bus.publish(Outgoing(ExchangeName.PUBLISH, "live.a", bytes(size)), deadline=0.1)

    async with proxied(broker_url) as (proxy, url), running(connect, url, heartbeat=60) as bus:
        proxy.black_hole()
        with measured() as kept:
            for _ in range(rounds):
                await asyncio.gather(*(give_up(bus) for _ in range(at_once)))
        assert bus.connected
        proxy.cut()
    assert kept.bytes < 2 * 2**20
