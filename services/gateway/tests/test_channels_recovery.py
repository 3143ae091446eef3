"""Recovering what was missed, and sharing the reads it takes."""

from __future__ import annotations

import pytest

from warren_gateway.bus_options import BusSideOptions
from warren_gateway.ports import Subscribe, Subscribed
from warren_shared.contracts.codes import Errors
from warren_shared.contracts.presence import Member
from warren_shared.contracts.publication import Position

from .bus_fakes import Client
from .bus_world import World, offsets, settle, world


async def publish(w: World, count: int) -> None:
    await w.publish("chat:a", *range(1, count + 1))


@pytest.mark.parametrize("followed", [False, True])
async def test_what_was_missed_comes_with_the_reply_whose_offset_is_the_clients_own(followed: bool) -> None:
    async with world() as w:
        if followed:
            await w.subscribe(Client("other"), "chat:a")
        await publish(w, 5)
        client = Client("c")
        await w.subscribe(client, "chat:a", Position("E1", 3))
        assert client.reply.position == Position("E1", 3)
        assert (client.reply.was_recovering, client.reply.recovered) == (True, True)
        assert list(client.reply.publications) == [
            b'{"data":4,"offset":4,"time":7}',
            b'{"data":5,"offset":5,"time":7}',
        ]
        await w.publish("chat:a", 6)
        assert client.data == [6]


async def test_who_missed_nothing_is_recovered_without_asking_history() -> None:
    async with world() as w:
        await w.subscribe(Client("other"), "chat:a")
        await publish(w, 5)
        reads = len(w.history.reads)
        client = Client("c")
        await w.subscribe(client, "chat:a", Position("E1", 5))
        assert client.reply == Subscribed(Position("E1", 5), was_recovering=True, recovered=True)
        assert len(w.history.reads) == reads


@pytest.mark.parametrize("followed", [False, True])
@pytest.mark.parametrize(
    ("since", "recovered"),
    [
        (Position("", 3), True),
        (Position("", 0), True),
        (Position("E0", 3), False),
        (Position("_", 0), False),
        (Position("E1", 9), False),
    ],
)
async def test_recovered_if_and_only_if_nothing_is_missing(since: Position, recovered: bool, followed: bool) -> None:
    async with world() as w:
        if followed:
            await w.subscribe(Client("other"), "chat:a")
        await publish(w, 5)
        client = Client("c")
        await w.subscribe(client, "chat:a", since)
        assert client.reply.recovered is recovered
        assert client.reply.was_recovering
        if recovered:
            assert client.reply.position == Position("E1", since.offset)
            assert offsets(client.reply.publications) == list(range(since.offset + 1, 6))
        else:
            assert client.reply == Subscribed(Position("E1", 5), was_recovering=True)


@pytest.mark.parametrize("followed", [False, True])
async def test_what_history_has_trimmed_is_not_recovered(followed: bool) -> None:
    async with world() as w:
        w.history.size = 3
        if followed:
            await w.subscribe(Client("other"), "chat:a")
        await publish(w, 6)
        old, new = Client("old"), Client("new")
        await w.subscribe(old, "chat:a", Position("E1", 2))
        assert old.reply == Subscribed(Position("E1", 6), was_recovering=True)
        await w.subscribe(new, "chat:a", Position("E1", 3))
        assert offsets(new.reply.publications) == [4, 5, 6]


@pytest.mark.parametrize("followed", [False, True])
async def test_who_missed_more_than_the_limit_is_not_recovered(followed: bool) -> None:
    async with world(BusSideOptions(recovery_limit=3)) as w:
        if followed:
            await w.subscribe(Client("other"), "chat:a")
        await publish(w, 10)
        far, near = Client("far"), Client("near")
        for client, offset in ((far, 6), (near, 7)):
            w.channels.subscribe(
                Subscribe("chat:a", positioned=True, recover_from=Position("E1", offset)), client, client.done
            )
        await settle()
        assert far.reply == Subscribed(Position("E1", 10), was_recovering=True)
        assert offsets(near.reply.publications) == [8, 9, 10]


async def test_a_page_bounded_in_bytes_is_followed_by_the_next() -> None:
    async with world() as w:
        w.history.page_size = 2
        await publish(w, 9)
        client = Client("c")
        await w.subscribe(client, "chat:a", Position("E1", 1))
        assert offsets(client.reply.publications) == list(range(2, 10))


async def test_publications_that_arrive_during_the_read_are_part_of_the_answer() -> None:
    async with world() as w:
        await w.subscribe(Client("other"), "chat:a")
        await publish(w, 3)
        w.history.answers = False
        client = Client("c")
        await w.subscribe(client, "chat:a", Position("E1", 1))
        (read,) = w.history.waiting
        w.history.serve(read)
        await w.publish("chat:a", 4, 5)
        w.history.reply(read)
        await settle()
        assert offsets(client.reply.publications) == [2, 3, 4, 5]
        await w.publish("chat:a", 6)
        assert client.data == [6]


async def test_a_read_that_is_ahead_of_the_deliveries_serves_everybody() -> None:
    async with world() as w:
        other, client = Client("other"), Client("c")
        await w.subscribe(other, "chat:a")
        await publish(w, 3)
        late = w.history.publish("chat:a", 4)
        await w.subscribe(client, "chat:a", Position("E1", 2))
        assert offsets(client.reply.publications) == [3, 4]
        w.route(late)
        await w.deliver()
        assert (other.data, client.data) == ([1, 2, 3, 4], [])


async def test_a_client_ahead_of_this_gateway_waits_until_it_has_caught_up() -> None:
    async with world() as w:
        other, client = Client("other"), Client("c")
        await w.subscribe(other, "chat:a")
        await publish(w, 3)
        late = [w.history.publish("chat:a", number) for number in (4, 5)]
        await w.subscribe(client, "chat:a", Position("E1", 5))
        assert client.reply == Subscribed(Position("E1", 5), was_recovering=True, recovered=True)
        for delivery in late:
            w.route(delivery)
        await w.publish("chat:a", 6)
        assert (other.data, client.data) == ([1, 2, 3, 4, 5, 6], [6])


@pytest.mark.parametrize("followed", [False, True])
async def test_a_storm_of_recoveries_costs_one_read(followed: bool) -> None:
    async with world() as w:
        if followed:
            await w.subscribe(Client("other"), "chat:a")
        await publish(w, 20)
        reads = len(w.history.reads)
        w.history.answers = False
        clients = [Client(f"c{number}") for number in range(1000)]
        for number, client in enumerate(clients):
            request = Subscribe("chat:a", positioned=True, recover_from=Position("E1", 10 + number % 10))
            w.channels.subscribe(request, client, client.done)
        await settle()
        for read in list(w.history.waiting):
            w.history.reply(read)
        await settle()
        assert len(w.history.reads) == reads + 1
        for number, client in enumerate(clients):
            assert offsets(client.reply.publications) == list(range(11 + number % 10, 21))
        assert w.counts.of("chat").shared_reads >= 899


async def test_who_comes_during_a_read_shares_it_if_it_covers_them() -> None:
    async with world() as w:
        await w.subscribe(Client("other"), "chat:a")
        await publish(w, 10)
        w.history.answers = False
        first, covered, older = Client("1"), Client("2"), Client("3")
        await w.subscribe(first, "chat:a", Position("E1", 5))
        await w.subscribe(covered, "chat:a", Position("E1", 7))
        await w.subscribe(older, "chat:a", Position("E1", 2))
        w.history.reply(w.history.waiting[0])
        await settle()
        assert offsets(first.reply.publications) == [6, 7, 8, 9, 10]
        assert offsets(covered.reply.publications) == [8, 9, 10]
        assert older.replies == []
        w.history.reply(w.history.waiting[0])
        await settle()
        assert offsets(older.reply.publications) == [3, 4, 5, 6, 7, 8, 9, 10]


async def test_a_read_serves_those_who_come_shortly_after_it_too_but_not_forever() -> None:
    async with world(BusSideOptions(recovery_window_seconds=2)) as w:
        await w.tick()
        await w.subscribe(Client("other"), "chat:a")
        await publish(w, 10)
        await w.subscribe(Client("c"), "chat:a", Position("E1", 5))
        reads = len(w.history.reads)
        await w.publish("chat:a", 11)
        after = Client("d")
        w.channels.subscribe(Subscribe("chat:a", positioned=True, recover_from=Position("E1", 6)), after, after.done)
        assert offsets(after.reply.publications) == [7, 8, 9, 10, 11]
        assert len(w.history.reads) == reads
        await w.tick(3)
        await w.subscribe(Client("e"), "chat:a", Position("E1", 6))
        assert len(w.history.reads) == reads + 1


async def test_a_read_too_large_to_keep_serves_only_those_who_waited_for_it() -> None:
    async with world(BusSideOptions(recovery_window_bytes=1)) as w:
        await w.subscribe(Client("other"), "chat:a")
        await publish(w, 10)
        client = Client("c")
        await w.subscribe(client, "chat:a", Position("E1", 5))
        assert client.reply.recovered
        await w.tick(0)
        reads = len(w.history.reads)
        await w.subscribe(Client("d"), "chat:a", Position("E1", 5))
        assert len(w.history.reads) == reads + 1


async def test_an_epoch_that_changes_during_the_read_is_not_recovered_across() -> None:
    async with world() as w:
        other, client = Client("other"), Client("c")
        await w.subscribe(other, "chat:a")
        await publish(w, 3)
        w.history.answers = False
        await w.subscribe(client, "chat:a", Position("E1", 1))
        w.history.restart("chat:a", "E2")
        await w.publish("chat:a", 1)
        while w.history.waiting:
            w.history.reply(w.history.waiting[0])
            await settle()
        assert len(other.ended) == 1
        assert client.reply == Subscribed(Position("E2", 1), was_recovering=True)


async def test_a_read_that_fails_refuses_who_needed_it_and_nobody_else() -> None:
    async with world() as w:
        await w.subscribe(Client("other"), "chat:a")
        await publish(w, 3)
        w.history.answers = False
        needs, plain = Client("n"), Client("p")
        await w.subscribe(needs, "chat:a", Position("E1", 1))
        w.history.fail(w.history.waiting[0])
        await w.subscribe(plain, "chat:a")
        assert needs.replies == [Errors.INTERNAL]
        assert plain.reply.position == Position("E1", 3)
        assert w.channels.num_subscribers("chat:a") == 2


async def test_a_position_that_no_stream_can_have_is_not_recovered() -> None:
    async with world() as w:
        await w.publish("chat:a", 1)
        clients = [Client("c"), Client("d")]
        for client in clients:
            await w.subscribe(client, "chat:a", Position("E1", 2**64 - 1))
            assert client.reply == Subscribed(Position("E1", 1), was_recovering=True)


@pytest.mark.parametrize("followed", [False, True])
async def test_who_missed_more_bytes_than_there_is_room_for_is_not_recovered_and_told_so(followed: bool) -> None:
    async with world() as w:
        if followed:
            await w.subscribe(Client("other"), "chat:a")
        await publish(w, 5)
        two = len(b'{"data":4,"offset":4,"time":7}') * 2
        enough, short, none = Client("enough"), Client("short"), Client("none")
        enough.room, short.room, none.room = two, two - 1, -1
        for client in (enough, short):
            await w.subscribe(client, "chat:a", Position("E1", 3))
        await w.subscribe(none, "chat:a", Position("E1", 5))
        assert offsets(enough.reply.publications) == [4, 5]
        assert short.reply == Subscribed(Position("E1", 5), was_recovering=True)
        assert none.reply.recovered, "who missed nothing needs no room"
        await w.publish("chat:a", 6)
        assert enough.data == short.data == [6]


@pytest.mark.parametrize("followed", [False, True])
async def test_who_wants_all_or_nothing_and_cannot_be_recovered_never_subscribes(followed: bool) -> None:
    async with world() as w:
        if followed:
            await w.subscribe(Client("other"), "chat:a")
        await publish(w, 5)
        whole, broken = Client("whole"), Client("broken")
        for client, epoch in ((whole, "E1"), (broken, "E0")):
            member = Member(client=client.client, user="u")
            await w.subscribe(client, "chat:a", Position(epoch, 3), member=member, reject_unrecovered=True)
        await w.publish("chat:a", 6)
        assert offsets(whole.reply.publications) == [4, 5]
        assert broken.replies == [Errors.UNRECOVERABLE_POSITION]
        assert (whole.data, broken.data) == ([6], [])
        assert w.presence.events == [("joined", "chat:a", "whole")]


async def test_a_channel_that_only_saw_somebody_rejected_is_given_up_in_time() -> None:
    async with world(BusSideOptions(unbind_grace=10)) as w:
        other = Client("other")
        await w.subscribe(other, "chat:a")
        w.channels.unsubscribe("chat:a", other)
        await w.tick(5)
        client = Client("c")
        await w.subscribe(client, "chat:a", Position("E0", 3), reject_unrecovered=True)
        assert client.replies == [Errors.UNRECOVERABLE_POSITION]
        for _ in range(3):
            await w.tick(10)
        assert w.channels.followed() == {}


async def test_who_does_not_recover_is_not_rejected() -> None:
    async with world() as w:
        client = Client("c")
        await w.subscribe(client, "chat:a", reject_unrecovered=True)
        assert client.reply == Subscribed(Position("E1", 0))
