"""A broker that is out of memory takes no publications: who publishes learns it in time and keeps nothing, who consumes
goes on, and afterwards everything flows again by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from contextlib import suppress

import pytest
from eventually import eventually
from staging.bus import DEADLINE, Collector, Listener, Producer, bodies, consuming, numbered, running
from staging.memory import measured
from staging.spare_broker import SpareBroker

from warren_shared.messaging.amqp.bus import CONNECTS, FAILED, AmqpBus
from warren_shared.messaging.amqp.driver import Connect
from warren_shared.messaging.amqp.publishing import SEND_BYTES, SEND_QUEUE
from warren_shared.messaging.amqp.pulse import PATIENCE_SECONDS
from warren_shared.messaging.drivers import CONNECT, BrokerDriver
from warren_shared.messaging.port import DeadlineExceededError, Delivery, Outgoing
from warren_shared.topology.catalogue import ExchangeName

pytestmark = [pytest.mark.broker, pytest.mark.timeout(120)]

PROBE = Outgoing(ExchangeName.PUBLISH, "live.probe", b"?")
PATIENCE = 1.0
SLACK = 2.0
"""How late a deadline may be noticed here: other programs want the processor too."""
SOCKETS = 16 * 2**20
"""More than the operating system takes into the sockets of one connection, in bytes."""


async def until_blocked(bus: AmqpBus) -> None:
    """Publish until the broker takes nothing more: it tells only those who try."""
    with suppress(DeadlineExceededError):
        async with asyncio.timeout(DEADLINE):
            while True:
                await bus.publish(PROBE, deadline=PATIENCE)


async def test_publications_and_requests_end_at_their_deadlines(
    spare_broker: SpareBroker, spare_url: str, connect: Connect
) -> None:
    message = Outgoing(ExchangeName.PUBLISH, "live.a", b"1")
    loop = asyncio.get_running_loop()

    async def ends_in_time(attempt: Awaitable[object], deadline: float) -> None:
        began = loop.time()
        with pytest.raises(DeadlineExceededError):
            await attempt
        assert deadline <= loop.time() - began < deadline + SLACK

    async with running(connect, spare_url, heartbeat=1) as bus, spare_broker.broker.memory_alarm():
        await until_blocked(bus)
        async with asyncio.TaskGroup() as group:
            for deadline in (0.1, 0.5, PATIENCE, 4.0):
                group.create_task(ends_in_time(bus.publish(message, deadline=deadline), deadline))
                group.create_task(ends_in_time(bus.publish_all([message] * 50, deadline=deadline), deadline))
                asked = bus.request(ExchangeName.RPC, "auth.connect", b"", deadline=deadline)
                group.create_task(ends_in_time(asked, deadline))
        assert bus.ready
        # Blocked is not lost, though several heartbeats went unread: nobody connected anew.
        assert [reading.value for reading in bus.readings() if reading.spec is CONNECTS] == [1, 1]


async def test_an_alarm_that_lasts_is_not_taken_for_a_dead_link(
    spare_broker: SpareBroker, spare_url: str, connect: Connect
) -> None:
    async with running(connect, spare_url, heartbeat=600) as bus, spare_broker.broker.memory_alarm():
        await until_blocked(bus)
        with pytest.raises(DeadlineExceededError):  # for longer than a silent broker is waited for
            await bus.publish(Outgoing(ExchangeName.PUBLISH, "live.a", b"1"), deadline=2 * PATIENCE_SECONDS)
        assert [reading.value for reading in bus.readings() if reading.spec is CONNECTS] == [1, 1]


async def test_nothing_is_kept_of_what_was_given_up(
    spare_broker: SpareBroker, spare_url: str, connect: Connect
) -> None:
    """64 MiB are offered, each message with bytes of its own, and every one is given up: whatever a driver put aside
    for the broker would still be allocated at the end.
    """
    size, at_once, rounds = 65_536, 64, 16

    async def give_up(bus: AmqpBus) -> None:
        with pytest.raises(DeadlineExceededError):
            await bus.publish(Outgoing(ExchangeName.PUBLISH, "live.a", bytes(size)), deadline=0.2)

    async with running(connect, spare_url) as bus, spare_broker.broker.memory_alarm():
        await until_blocked(bus)
        with measured() as kept:
            for _ in range(rounds):
                await asyncio.gather(*(give_up(bus) for _ in range(at_once)))
    assert size * at_once * rounds == 64 * 2**20
    assert kept.bytes < 2 * 2**20


async def test_send_drops_beyond_its_bound_and_what_it_took_arrives_in_order_afterwards(
    spare_broker: SpareBroker, spare_url: str, connect: Connect
) -> None:
    padding, tries = bytes(4096), 3 * SEND_QUEUE
    listener = Listener((ExchangeName.DELIVER, "live.a"))

    async with running(connect, spare_url, lambda bus: bus.open_inbox(listener)) as bus:
        async with spare_broker.broker.memory_alarm():
            await until_blocked(bus)
            taken = await send_numbered(bus, tries, padding)
        await eventually(lambda: len(listener.bodies) >= len(taken), deadline=30, what="what was taken arrived")
        dropped = {reading.labels: reading.value for reading in bus.readings() if reading.spec is FAILED}[("sent",)]

    assert [int(body[:8]) for body in listener.bodies] == taken
    assert dropped == tries - len(taken)
    in_sockets = 0 if connect is CONNECT[BrokerDriver.LANE] else SOCKETS // len(padding)
    assert SEND_QUEUE <= len(taken) <= SEND_QUEUE + in_sockets


async def test_send_holds_no_more_bytes_than_its_bound(
    spare_broker: SpareBroker, spare_url: str, connect: Connect
) -> None:
    """192 MiB are offered in fewer messages than ``send`` would hold."""
    size = 65_536
    tries = 3 * SEND_BYTES // size
    assert tries < SEND_QUEUE
    async with running(connect, spare_url) as bus, spare_broker.broker.memory_alarm():
        await until_blocked(bus)
        taken = await send_numbered(bus, tries, bytes(size - 8))
        assert SEND_BYTES // size <= len(taken) <= (SEND_BYTES + SOCKETS) // size
        assert not bus.send(Outgoing(ExchangeName.DELIVER, "live.a", bytes(2 * SEND_BYTES)))


async def send_numbered(bus: AmqpBus, count: int, padding: bytes) -> list[int]:
    """Send numbered messages; return the numbers that were taken."""
    taken = []
    for number in range(count):
        if bus.send(Outgoing(ExchangeName.DELIVER, "live.a", b"%08d" % number + padding)):
            taken.append(number)
        if number % 100 == 0:
            await asyncio.sleep(0)  # let the sender try
    return taken


async def test_consumers_go_on_and_afterwards_publications_flow_in_order(
    spare_broker: SpareBroker, spare_url: str, connect: Connect
) -> None:
    collector, released = Collector(), asyncio.Event()

    async def handler(batch: Sequence[Delivery]) -> None:
        await released.wait()
        await collector.add(batch)

    async with (
        running(connect, spare_url, consuming(handler, max_batch=5, prefetch=10)) as bus,
        asyncio.TaskGroup() as group,
    ):
        producer = Producer(bus)
        await producer.run(100)
        async with spare_broker.broker.memory_alarm():
            await until_blocked(bus)
            group.create_task(producer.run(300))
            released.set()
            await collector.wait_for(100)
            await eventually(lambda: len(producer.failures) >= 2, what="the producer tried again")
            assert producer.confirmed == 100
            assert collector.first_copies == bodies(100)
        await producer.until(300, deadline=30)
        await collector.until(lambda: len(collector.first_copies) == 300)

    assert collector.first_copies == bodies(300)
    assert all(isinstance(failure, DeadlineExceededError) for failure in producer.failures)


async def test_who_waits_when_the_alarm_ends_is_let_through_in_order(
    spare_broker: SpareBroker, spare_url: str, connect: Connect
) -> None:
    collector = Collector()
    async with (
        running(connect, spare_url, consuming(collector, max_batch=5, prefetch=10)) as bus,
        asyncio.TaskGroup() as group,
    ):
        async with spare_broker.broker.memory_alarm():
            await until_blocked(bus)
            waiting = [group.create_task(bus.publish(message, deadline=60)) for message in numbered(100)]
            with pytest.raises(DeadlineExceededError):
                await bus.publish(PROBE, deadline=PATIENCE)  # behind them all
            assert not any(task.done() for task in waiting)
        await collector.wait_for(100)

    assert [delivery.body for delivery in collector.deliveries] == bodies(100)
