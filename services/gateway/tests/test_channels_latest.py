"""Recovering in cache mode: just the latest publication, shared by those who come."""

from __future__ import annotations

import pytest

from warren_gateway.bus_options import BusSideOptions
from warren_gateway.ports import Subscribe, Subscribed
from warren_shared.contracts.codes import Unsubscribes
from warren_shared.contracts.publication import Position

from .bus_fakes import Client, namespaces
from .bus_world import World, offsets, settle, world

ANYWHERE = Position("", 0)
CHANNEL = "last:a"


async def publish(w: World, count: int) -> None:
    w.history.size = 1
    await w.publish(CHANNEL, *range(1, count + 1))


async def follow(w: World, *, quiet: bool = True) -> Client:
    """Have somebody else on the channel, where nothing has come for a while."""
    other = Client("other")
    await w.subscribe(other, CHANNEL)
    if quiet:
        await w.tick(5)
    return other


@pytest.mark.parametrize("followed", [False, True])
@pytest.mark.parametrize(
    ("since", "position"),
    [
        (ANYWHERE, Position("E1", 0)),
        (Position("E1", 2), Position("E1", 2)),
        (Position("", 2), Position("E1", 2)),
        (Position("", 5), Position("E1", 4)),
        (Position("E0", 3), Position("E1", 3)),
        (Position("E0", 5), Position("E1", 4)),
        (Position("E0", 900), Position("E1", 4)),
        (Position("_", 0), Position("E1", 0)),
        (Position("E1", 9), Position("E1", 4)),
        (Position("E1", 2**64 - 1), Position("E1", 4)),
    ],
)
async def test_whoever_recovers_from_wherever_is_given_the_latest_publication(
    since: Position, position: Position, followed: bool
) -> None:
    async with world() as w:
        await publish(w, 5)
        if followed:
            await follow(w)
        client = Client("c")
        await w.subscribe(client, CHANNEL, since)
        assert client.reply == Subscribed(
            position, was_recovering=True, recovered=True, publications=[b'{"data":5,"offset":5,"time":7}']
        )
        await w.publish(CHANNEL, 6)
        assert client.data == [6]


@pytest.mark.parametrize("followed", [False, True])
async def test_who_has_the_latest_publication_is_recovered_and_given_nothing(followed: bool) -> None:
    async with world() as w:
        await publish(w, 5)
        if followed:
            await follow(w)
        reads, client = len(w.history.reads), Client("c")
        await w.subscribe(client, CHANNEL, Position("E1", 5))
        assert client.reply == Subscribed(Position("E1", 5), was_recovering=True, recovered=True)
        assert len(w.history.reads) == reads + (not followed)


@pytest.mark.parametrize("followed", [False, True])
@pytest.mark.parametrize("since", [ANYWHERE, Position("E1", 3), Position("E0", 3)])
async def test_where_nothing_was_ever_published_nobody_is_recovered(since: Position, followed: bool) -> None:
    async with world() as w:
        if followed:
            await follow(w)
        reads, client = len(w.history.reads), Client("c")
        await w.subscribe(client, CHANNEL, since)
        assert client.reply == Subscribed(Position("E1", 0), was_recovering=True)
        is_ahead = since.epoch == "E1"
        assert len(w.history.reads) == reads + (is_ahead or not followed)


@pytest.mark.parametrize("followed", [False, True])
async def test_what_history_no_longer_has_is_not_recovered(followed: bool) -> None:
    async with world() as w:
        await publish(w, 5)
        if followed:
            await follow(w)
        w.history.streams[CHANNEL].clear()
        client, current = Client("c"), Client("current")
        await w.subscribe(client, CHANNEL, Position("E1", 4))
        await w.subscribe(current, CHANNEL, Position("E1", 5))
        assert client.reply == Subscribed(Position("E1", 5), was_recovering=True)
        assert current.reply == Subscribed(Position("E1", 5), was_recovering=True, recovered=True)


@pytest.mark.parametrize("followed", [False, True])
async def test_a_storm_costs_one_read(followed: bool) -> None:
    async with world() as w:
        await publish(w, 5)
        if followed:
            await follow(w)
        reads = len(w.history.reads)
        w.history.answers = False
        clients = [Client(f"c{number}") for number in range(1000)]
        for number, client in enumerate(clients):
            request = Subscribe(CHANNEL, positioned=True, recover_from=Position("E1", number % 5))
            w.channels.subscribe(request, client, client.done)
        await settle()
        for read in list(w.history.waiting):
            w.history.reply(read)
        await settle()
        assert len(w.history.reads) == reads + 1
        assert {tuple(offsets(client.reply.publications)) for client in clients} == {(5,)}
        assert w.counts.of("last").recovered == 1000


async def test_on_a_busy_channel_nothing_is_read() -> None:
    async with world() as w:
        await follow(w, quiet=False)
        await publish(w, 3)
        reads, client = len(w.history.reads), Client("c")
        for number in range(4, 9):
            await w.tick(1)
            await w.publish(CHANNEL, number)
        await w.subscribe(client, CHANNEL, Position("E1", 1))
        assert offsets(client.reply.publications) == [8]
        assert len(w.history.reads) == reads


async def test_what_was_kept_is_given_for_no_longer_than_it_is_asked_anew() -> None:
    async with world(BusSideOptions(recovery_window_seconds=2)) as w:
        await follow(w, quiet=False)
        await publish(w, 3)
        w.history.streams[CHANNEL].clear()
        await w.tick(1)
        soon, later = Client("soon"), Client("later")
        await w.subscribe(soon, CHANNEL, ANYWHERE)
        await w.tick(1)
        await w.subscribe(later, CHANNEL, ANYWHERE)
        assert offsets(soon.reply.publications) == [3]
        assert not later.reply.recovered


async def test_what_is_kept_shorter_than_that_is_not_given_when_it_is_over() -> None:
    names = namespaces(
        "namespaces: [{name: last, history_size: 1, history_ttl: 1s, force_recovery: true, force_recovery_mode: cache}]"
    )
    async with world(BusSideOptions(recovery_window_seconds=60), names) as w:
        await follow(w, quiet=False)
        await publish(w, 3)
        w.history.streams[CHANNEL].clear()
        await w.tick(1)
        client = Client("c")
        await w.subscribe(client, CHANNEL, ANYWHERE)
        assert not client.reply.recovered


async def test_a_publication_that_history_has_before_it_arrives_here_disturbs_nobody() -> None:
    async with world() as w:
        await publish(w, 5)
        other, client = await follow(w), Client("c")
        w.history.answers = False
        late = [w.history.publish(CHANNEL, number) for number in (6, 7)]
        await w.subscribe(client, CHANNEL, Position("E1", 1))
        w.history.reply(w.history.waiting[0])
        for delivery in late:
            w.route(delivery)
        await w.deliver()
        while w.history.waiting:
            w.history.reply(w.history.waiting[0])
            await settle()
        assert (other.data, other.ended) == ([6, 7], [])
        assert offsets(client.reply.publications) == [7]
        await w.publish(CHANNEL, 8)
        assert (other.data, client.data) == ([6, 7, 8], [8])


async def test_a_publication_that_never_arrives_here_is_fetched_for_everybody() -> None:
    async with world() as w:
        await publish(w, 5)
        other, client = await follow(w), Client("c")
        w.history.publish(CHANNEL, 6)
        await w.subscribe(client, CHANNEL, Position("E1", 1))
        assert (other.data, other.ended) == ([6], [])
        assert offsets(client.reply.publications) == [6]


async def test_who_missed_what_history_no_longer_has_is_told_while_who_comes_gets_the_latest() -> None:
    async with world() as w:
        await publish(w, 5)
        other, client = await follow(w), Client("c")
        for number in (6, 7):
            w.history.publish(CHANNEL, number)
        await w.subscribe(client, CHANNEL, Position("E1", 1))
        assert other.ended == [(CHANNEL, Unsubscribes.INSUFFICIENT_STATE)]
        assert offsets(client.reply.publications) == [7]


async def test_a_client_ahead_of_this_gateway_is_not_set_back() -> None:
    async with world() as w:
        await follow(w, quiet=False)
        await publish(w, 3)
        late, client = w.history.publish(CHANNEL, 4), Client("c")
        await w.subscribe(client, CHANNEL, Position("E1", 4))
        assert client.reply == Subscribed(Position("E1", 4), was_recovering=True, recovered=True)
        w.route(late)
        await w.publish(CHANNEL, 5)
        assert client.data == [5]


async def test_an_epoch_that_changed_is_no_reason_not_to_recover() -> None:
    async with world() as w:
        await publish(w, 5)
        other, client = await follow(w), Client("c")
        w.history.restart(CHANNEL, "E2")
        await w.publish(CHANNEL, 1)
        await w.subscribe(client, CHANNEL, Position("E1", 5))
        assert other.ended == [(CHANNEL, Unsubscribes.INSUFFICIENT_STATE)]
        assert client.reply == Subscribed(
            Position("E2", 0), was_recovering=True, recovered=True, publications=[b'{"data":1,"offset":1,"time":7}']
        )


async def test_a_publication_larger_than_the_room_is_not_recovered() -> None:
    async with world() as w:
        await publish(w, 1)
        client = Client("c")
        client.room = 10
        await w.subscribe(client, CHANNEL, ANYWHERE)
        assert client.reply == Subscribed(Position("E1", 1), was_recovering=True)


@pytest.mark.parametrize("published", [0, 2])
async def test_who_did_not_ask_is_given_the_latest_and_not_told_of_a_recovery(published: int) -> None:
    async with world() as w:
        await publish(w, published)
        client = Client("c")
        await w.subscribe(client, CHANNEL, ANYWHERE, unasked=True)
        assert not client.reply.was_recovering
        assert client.reply.recovered is bool(published)
        assert offsets(client.reply.publications) == [2][:published]
        assert w.counts.of("last").recovered == w.counts.of("last").unrecovered == 0


async def test_who_comes_after_more_than_can_be_written_is_given_the_latest_publication_all_the_same() -> None:
    async with world(BusSideOptions(fanout_pending_bytes=300)) as w:
        other = await follow(w)
        w.history.answers = False
        w.history.publish(CHANNEL, "lost")
        await w.publish(CHANNEL, *("x" * 100 for _ in range(8)))
        w.history.reply(w.history.waiting[0])
        await settle()
        assert other.ended == [(CHANNEL, Unsubscribes.INSUFFICIENT_STATE)]
        w.history.publish(CHANNEL, "missed")
        w.history.answers = True
        await w.subscribe(Client("plain"), CHANNEL)
        client = Client("c")
        await w.subscribe(client, CHANNEL, ANYWHERE)
        assert client.reply.recovered
        assert offsets(client.reply.publications) == [10]
