"""Replies larger than a connection's buffer: asked for by the client, so they do not make it slow."""

from __future__ import annotations

import json

import pytest

from warren_gateway.adapters.connections import ConnectionLimits
from warren_gateway.adapters.websocket import WebSocketLink
from warren_gateway.ports import Subscribed
from warren_shared.contracts.auth import Admitted
from warren_shared.contracts.history import Page, StoredPublication
from warren_shared.contracts.publication import Position

from .socket_fakes import EVERYTHING
from .socket_link import Links, Transport, links, text

LIMITS = ConnectionLimits(write_buffer=200_000, replies=3_000_000, reply_timeout=30)
PUSH = json.dumps("x" * 50_000).encode()
MANY = 100


def page(size: int) -> Page:
    stored = StoredPublication(offset=1, data=json.dumps("x" * size), time=1, tags={}, info=None)
    return Page(epoch="e", top=1, publications=(stored,))


async def reading_history(gateway: Links, size: int = 2_500_000) -> tuple[WebSocketLink, Transport]:
    """A client that is subscribed to live:a and is being sent a large reply, of which it takes nothing yet."""
    gateway.services.page = page(size)
    link, transport = await gateway.let_in()
    link.data_received(text('{"id":2,"subscribe":{"channel":"live:a"}}'))
    transport.takes = 0
    link.data_received(text('{"id":3,"history":{"channel":"chat:a","limit":-1}}'))
    await gateway.until(lambda: transport.waiting > size or transport.close_code is not None)
    return link, transport


def look(gateway: Links) -> None:
    gateway.clock.time += 0.5
    gateway.looks.turn()
    gateway.turns.run()


async def test_a_reply_over_the_buffer_reaches_who_reads_it_in_time_and_the_connection_goes_on() -> None:
    async with links(limits=LIMITS) as gateway:
        _, transport = await reading_history(gateway)
        look(gateway)
        transport.drain()
        look(gateway)
        assert transport.close_code is None
        assert transport.messages[-1]["history"]["offset"] == 1
        assert not gateway.looks.waiting, "nothing is left to be looked at"
        assert transport.high == LIMITS.high_water


async def test_who_does_not_read_a_large_reply_in_time_is_closed() -> None:
    async with links(limits=LIMITS) as gateway:
        _, transport = await reading_history(gateway)
        for _ in range(59):
            look(gateway)
        assert transport.close_code is None
        look(gateway)
        assert transport.close_code == 3008


async def test_what_is_pushed_behind_a_large_reply_is_bounded_as_ever() -> None:
    async with links(limits=LIMITS) as gateway:
        _, transport = await reading_history(gateway)
        replied = transport.waiting
        for _ in range(MANY):
            gateway.channels.publish("live:a", PUSH)
            gateway.turns.run()
        assert transport.close_code == 3008
        assert LIMITS.write_buffer < transport.waiting - replied <= LIMITS.high_water + 2 * len(PUSH)


async def test_what_has_left_of_a_large_reply_makes_no_room_for_pushes() -> None:
    async with links(limits=LIMITS) as gateway:
        _, transport = await reading_history(gateway)
        transport.waiting = 300_000
        look(gateway)
        for _ in range(MANY):
            gateway.channels.publish("live:a", PUSH)
            gateway.turns.run()
        assert transport.close_code == 3008
        assert transport.waiting <= 300_000 + LIMITS.high_water + 2 * len(PUSH)


async def test_replies_that_would_be_too_much_together_are_not_written() -> None:
    async with links(limits=LIMITS) as gateway:
        link, transport = await reading_history(gateway)
        link.data_received(text('{"id":4,"history":{"channel":"chat:a","limit":-1}}'))
        await gateway.until(lambda: transport.close_code is not None)
        assert transport.close_code == 3008
        assert transport.waiting <= LIMITS.high_water + LIMITS.replies


async def test_a_ping_behind_a_large_reply_has_its_time_from_when_the_reply_has_left() -> None:
    async with links(limits=LIMITS) as gateway:
        _, transport = await reading_history(gateway)
        (connection,) = gateway.connections._open
        for _ in range(3):
            gateway.clock.time += 9  # a ping is due after 12.5 seconds, and its answer 8 later
            connection.wake()
        assert transport.close_code is None
        transport.drain()
        look(gateway)
        gateway.clock.time += 9
        connection.wake()
        assert transport.close_code == 3012


async def test_recovered_publications_of_all_replies_share_what_room_there_is() -> None:
    async with links(limits=LIMITS) as gateway:
        gateway.services.admitted = Admitted(user="alice", grants=EVERYTHING, channels=("chat:a", "chat:b"))
        gateway.channels.waiting = []
        link, transport = gateway.open()
        transport.takes = 0
        link.data_received(text('{"id":1,"connect":{}}'))
        await gateway.until(lambda: len(gateway.channels.waiting or ()) == 2)
        subscriber = gateway.channels.waiting[0][1]
        assert subscriber.room == LIMITS.replies
        recovered = (b'{"data":"%b"}' % (b"x" * 1_000_000),)
        gateway.channels.answer = Subscribed(Position("e", 0), True, True, recovered)
        gateway.channels.admit()
        assert subscriber.room == LIMITS.replies - len(recovered[0]), "it is promised, though not written yet"
        gateway.channels.admit()
        assert subscriber.room == LIMITS.replies - transport.waiting
        assert transport.waiting == pytest.approx(2 * len(recovered[0]), abs=1000)
        assert transport.close_code is None
        transport.drain()
        assert subscriber.room == LIMITS.replies
