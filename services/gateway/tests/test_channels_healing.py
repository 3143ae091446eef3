"""Healing of durable channels: after an outage, a silent loss, or while history is away."""

from __future__ import annotations

import pytest

from warren_gateway.bus_options import BusSideOptions
from warren_gateway.ports import Subscribed
from warren_shared.contracts.codes import Errors, Unsubscribes
from warren_shared.contracts.publication import Position

from .bus_fakes import Client
from .bus_world import settle, world

LOST = [("chat:a", Unsubscribes.INSUFFICIENT_STATE)]


async def test_after_the_broker_was_away_channels_are_bound_anew_and_healed_and_nobody_notices() -> None:
    async with world() as w:
        clients = {name: Client(name) for name in ("chat:a", "chat:b", "mine:c", "live:d")}
        for channel, client in clients.items():
            await w.subscribe(client, channel)
        await w.publish("chat:a", 1)
        await w.disconnect()
        await w.publish("chat:a", 2)
        await w.publish("mine:c", 3)
        await w.connect()
        assert w.inbox.bound == {"chat.a", "chat.b", "mine.#", "live.d"}
        await w.publish("chat:a", 4)
        await w.publish("live:d", 5)
        assert {channel: client.data for channel, client in clients.items()} == {
            "chat:a": [1, 2, 4],
            "chat:b": [],
            "mine:c": [3],
            "live:d": [5],
        }
        assert not any(client.ended for client in clients.values())


async def test_what_is_missed_while_a_read_from_before_the_outage_is_under_way_is_read_again() -> None:
    async with world() as w:
        w.history.answers = False
        client = Client("c")
        await w.subscribe(client, "chat:a")
        (read,) = w.history.waiting
        w.history.serve(read)
        await w.disconnect()
        await w.publish("chat:a", 1)
        await w.connect()
        w.history.reply(read)
        await settle()
        assert client.reply.position == Position("E1", 0)
        w.history.reply(w.history.waiting[0])
        await settle()
        assert client.data == [1]


async def test_healing_is_bounded_in_concurrency() -> None:
    async with world(BusSideOptions(heal_concurrency=4)) as w:
        for number in range(20):
            await w.subscribe(Client(f"c{number}"), f"chat:{number}")
        await w.disconnect()
        w.history.answers = False
        await w.connect()
        healed = 0
        while w.history.waiting:
            assert len(w.history.waiting) <= 4
            w.history.reply(w.history.waiting[0])
            healed += 1
            await settle()
        assert healed == 20


async def test_while_history_is_away_new_subscribers_are_refused_for_now_and_followers_stay() -> None:
    async with world() as w:
        follower, new, other = Client("f"), Client("n"), Client("o")
        await w.subscribe(follower, "chat:a")
        w.history.down = True
        await w.subscribe(new, "chat:b")
        assert new.replies == [Errors.INTERNAL]
        await w.subscribe(other, "chat:a")
        assert isinstance(other.replies[0], Subscribed)
        await w.subscribe(new, "chat:a", Position("E1", 7))
        assert new.replies[1] == Errors.INTERNAL
        w.history.down = False
        await w.subscribe(new, "chat:b")
        assert new.reply.position == Position("E1", 0)
        assert not follower.ended


async def test_who_subscribes_is_told_to_come_again_when_history_does_not_know_the_channel_yet() -> None:
    async with world() as w:
        w.history.refuses = Errors.NOT_AVAILABLE
        client = Client("c")
        await w.subscribe(client, "chat:a")
        assert client.replies == [Errors.INTERNAL]


async def test_a_blind_channel_is_healed_when_history_is_back() -> None:
    async with world(BusSideOptions(heal_longest_pause=0.0)) as w:
        client = Client("c")
        await w.subscribe(client, "chat:a")
        w.history.publish("chat:a", "lost")
        w.history.down = True
        await w.publish("chat:a", 2)
        await w.tick(30)
        assert client.data == []
        w.history.down = False
        await settle()
        assert client.data == ["lost", 2]
        assert not client.ended


async def test_a_channel_that_stays_blind_for_too_long_is_given_up() -> None:
    async with world(BusSideOptions(heal_longest_pause=0.0, heal_patience=60)) as w:
        client = Client("c")
        await w.subscribe(client, "chat:a")
        w.history.publish("chat:a", "lost")
        w.history.down = True
        await w.publish("chat:a", 2)
        await w.tick(59)
        assert not client.ended
        await w.tick(1)
        assert client.ended == LOST


async def test_a_quiet_channel_is_compared_with_history_from_time_to_time() -> None:
    async with world(BusSideOptions(position_check_interval=40)) as w:
        client = Client("c")
        await w.subscribe(client, "chat:a")
        reads = len(w.history.reads)
        w.history.publish("chat:a", "lost at the end")
        await w.tick(39)
        assert len(w.history.reads) == reads
        await w.tick(1)
        assert client.data == ["lost at the end"]
        assert (w.counts.of("chat").gaps, w.counts.of("chat").healed) == (1, 1)


@pytest.mark.parametrize(("epoch", "top"), [("E1", 2), ("E2", 2), ("E2", 3)])
async def test_a_quiet_channel_of_which_history_has_an_older_copy_is_told_so(epoch: str, top: int) -> None:
    async with world(BusSideOptions(position_check_interval=40)) as w:
        client, away = Client("c"), Client("away")
        await w.subscribe(client, "chat:a")
        await w.publish("chat:a", 1, 2, 3)
        w.history.restart("chat:a", epoch)
        for number in range(top):
            w.history.publish("chat:a", number)
        for _ in range(2):
            await w.tick(40)
        assert (client.data, client.ended) == ([1, 2, 3], LOST)
        await w.subscribe(away, "chat:a", Position("E1", 3))
        assert away.reply == Subscribed(Position(epoch, top), was_recovering=True)


async def test_a_busy_channel_needs_no_comparing() -> None:
    async with world(BusSideOptions(position_check_interval=40)) as w:
        client = Client("c")
        await w.subscribe(client, "chat:a")
        reads = len(w.history.reads)
        for _ in range(5):
            await w.publish("chat:a", 1)
            await w.tick(40)
        assert len(w.history.reads) == reads
        await w.tick(40)
        assert len(w.history.reads) == reads + 1


async def test_a_comparison_that_shows_another_epoch_ends_the_subscriptions() -> None:
    async with world() as w:
        client = Client("c")
        await w.subscribe(client, "chat:a")
        w.history.restart("chat:a", "E2")
        await w.tick(100)
        assert client.ended == LOST


async def test_a_comparison_that_cannot_be_made_ends_nothing() -> None:
    async with world(BusSideOptions(heal_longest_pause=0.0)) as w:
        client = Client("c")
        await w.subscribe(client, "chat:a")
        w.history.down = True
        for _ in range(10):
            await w.tick(100)
        assert not client.ended


async def test_a_long_silent_loss_is_made_good_whole() -> None:
    async with world(BusSideOptions(recovery_limit=4)) as w:
        client = Client("c")
        await w.subscribe(client, "chat:a")
        for number in range(20):
            w.history.publish("chat:a", number)
        await w.tick(100)
        assert client.data == list(range(20))


async def test_a_channel_that_went_quiet_in_an_outage_is_healed_although_history_was_away_too() -> None:
    async with world(BusSideOptions(heal_longest_pause=0.0)) as w:
        client = Client("c")
        await w.subscribe(client, "chat:a")
        await w.disconnect()
        w.history.publish("chat:a", "lost")
        w.history.down = True
        await w.connect()
        assert client.data == []
        w.history.down = False
        await settle()
        assert client.data == ["lost"]
