"""A broker that is killed in the middle of a stream: the bus comes back by itself, and what was confirmed is there."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from eventually import eventually
from staging.bus import DEADLINE, Collector, Listener, Producer, bodies, consuming, numbered, running
from staging.spare_broker import SpareBroker

from warren_shared.messaging.amqp.bus import AmqpBus
from warren_shared.messaging.amqp.driver import Connect
from warren_shared.messaging.port import BrokerUnavailableError, Delivery, Outgoing
from warren_shared.topology.catalogue import ExchangeName, QueueName

pytestmark = [pytest.mark.broker, pytest.mark.timeout(180)]
COMING_BACK = 60.0


async def test_everything_confirmed_arrives_and_everything_is_set_up_anew(
    spare_broker: SpareBroker, spare_url: str, connect: Connect
) -> None:
    collector, listener = Collector(), Listener((ExchangeName.DELIVER, "live.a"))

    async def answer(request: Delivery) -> bytes:
        return b"re: " + request.body

    def prepare(bus: AmqpBus) -> None:
        consuming(collector, max_batch=5, prefetch=10)(bus)
        bus.open_inbox(listener)
        bus.serve(QueueName.AUTH, answer)

    async with running(connect, spare_url, prepare) as bus, asyncio.TaskGroup() as group:
        await listener.opened.acquire()
        producer = Producer(bus)
        group.create_task(producer.run(300))
        await producer.until(100)
        async with spare_broker.killed():
            await eventually(lambda: not bus.connected, what="the loss is noticed")
            with pytest.raises(BrokerUnavailableError):
                await bus.request(ExchangeName.RPC, "auth.connect", b"", deadline=DEADLINE)
            assert producer.confirmed < 300
        await producer.until(300, deadline=COMING_BACK)
        await collector.until(lambda: len(collector.first_copies) == 300, deadline=COMING_BACK)
        assert await bus.request(ExchangeName.RPC, "auth.connect", b"1", deadline=DEADLINE) == b"re: 1"
        await bus.publish(Outgoing(ExchangeName.DELIVER, "live.a", b"live"), deadline=DEADLINE)
        await eventually(lambda: listener.bodies == [b"live"], what="the new inbox is bound")

    assert sorted(collector.first_copies, key=int) == bodies(300)
    assert listener.lost == 2


async def test_what_waits_and_what_was_not_acked_is_delivered_after_a_restart_in_order(
    spare_broker: SpareBroker, spare_url: str, connect: Connect
) -> None:
    collector, taken, restarted = Collector(), asyncio.Event(), False

    async def handler(batch: Sequence[Delivery]) -> None:
        if restarted:
            await collector.add(batch)
        else:
            taken.set()
            await asyncio.Event().wait()

    async with running(connect, spare_url, consuming(handler, max_batch=5, prefetch=10)) as bus:
        await bus.publish_all(numbered(100), deadline=DEADLINE)
        async with asyncio.timeout(DEADLINE):
            await taken.wait()
        async with spare_broker.killed():
            restarted = True
        await collector.until(lambda: len(collector.first_copies) == 100, deadline=COMING_BACK)

    assert [delivery.body for delivery in collector.deliveries] == bodies(100)
