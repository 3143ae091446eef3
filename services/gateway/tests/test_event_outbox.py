"""Events on their way to backends: in order, bounded, and never waited for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from warren_gateway.adapters.backends import event_of
from warren_gateway.bus_options import BusSideOptions
from warren_gateway.handlers.event_outbox import EventOutbox
from warren_gateway.ports import ClientMessage
from warren_shared.contracts.clients import ClientConnected
from warren_shared.messaging.port import Outgoing

from .bus_fakes import FakePublisher
from .bus_world import settle


class Broker(FakePublisher):
    """A bus that may be cut off."""

    ready = True


def event(number: int, size: int = 1) -> Outgoing:
    return Outgoing("warren.events", f"client.{number}", b"x" * size)


@asynccontextmanager
async def outbox(broker: Broker, **options: Any) -> AsyncIterator[EventOutbox]:
    settings = BusSideOptions(drain_deadline=0.2, **options)
    events = EventOutbox(broker, settings, monotonic=lambda: 0.0, sleep=lambda _: asyncio.sleep(0))
    running = asyncio.create_task(events.run())
    try:
        yield events
    finally:
        running.cancel()


async def test_events_are_published_in_order() -> None:
    broker = Broker()
    async with outbox(broker, event_batch=3) as events:
        for number in range(10):
            events.put(event(number))
        await events.drain()
    assert broker.confirmed == [event(number) for number in range(10)]
    assert (events.sent, events.dropped, events.failed) == (10, 0, 0)


async def test_events_wait_for_a_broker_that_is_away() -> None:
    broker = Broker()
    broker.ready = False
    async with outbox(broker) as events:
        events.put(event(1))
        await settle()
        assert broker.confirmed == []
        broker.ready = True
        await events.drain()
    assert broker.confirmed == [event(1)]


async def test_beyond_its_number_the_newest_are_dropped_and_counted() -> None:
    broker = Broker()
    broker.ready = False
    async with outbox(broker, event_queue=2) as events:
        for number in range(5):
            events.put(event(number))
        broker.ready = True
        await events.drain()
        events.put(event(9))
        await events.drain()
    assert broker.confirmed == [event(0), event(1), event(9)]
    assert (events.sent, events.dropped) == (3, 3)


async def test_beyond_its_bytes_the_newest_are_dropped_and_counted() -> None:
    broker = Broker()
    broker.ready = False
    async with outbox(broker, event_queue_bytes=100) as events:
        for number, size in enumerate((60, 60, 40)):
            events.put(event(number, size))
        broker.ready = True
        await events.drain()
        events.put(event(3, 100))
        await events.drain()
    assert [len(message.body) for message in broker.confirmed] == [60, 40, 100]
    assert events.dropped == 1


async def test_what_was_not_confirmed_is_counted_and_not_sent_again() -> None:
    broker = Broker()
    broker.fails = True
    async with outbox(broker) as events:
        events.put(event(1))
        await settle()
        broker.fails = False
        events.put(event(2))
        await events.drain()
    assert broker.confirmed == [event(2)]
    assert (events.sent, events.failed) == (1, 1)


async def test_the_end_waits_no_longer_than_its_deadline() -> None:
    broker = Broker()
    broker.ready = False
    async with outbox(broker) as events:
        events.put(event(1))
        async with asyncio.timeout(5):
            await events.drain()
    assert broker.confirmed == []


def test_an_event_says_when_it_happened_and_goes_under_its_own_name() -> None:
    connected = ClientConnected(gateway="gw-1", client="c1", user="alice")
    message = event_of(connected, 1700000000.0175)
    assert (message.exchange, message.routing_key) == ("warren.events", "client.connected")
    assert ClientConnected.decode(message.body) == connected.model_copy(update={"at": 1700000000017})


def test_a_clients_message_is_its_data_and_says_in_headers_whose_it_is() -> None:
    message = event_of(ClientMessage(b'{"a":1}', "alice", "c1", '{"n":1}'), 0.0)
    assert (message.exchange, message.routing_key, message.body) == ("warren.events", "client.message", b'{"a":1}')
    assert message.headers == {"x-warren-user": "alice", "x-warren-client": "c1", "x-warren-info": '{"n":1}'}
