"""Following durable channels: positions, duplicates, gaps, healing, and telling who cannot be healed."""

from __future__ import annotations

import asyncio

from warren_gateway.bus_options import BusSideOptions
from warren_gateway.ports import Subscribe, Subscribed
from warren_shared.contracts.codes import Errors, Unsubscribes
from warren_shared.contracts.presence import Member
from warren_shared.contracts.publication import Position
from warren_shared.messaging.port import Delivery

from .bus_fakes import Client, namespaces
from .bus_world import live, settle, world

LOST = [("chat:a", Unsubscribes.INSUFFICIENT_STATE)]


async def test_a_subscription_is_answered_with_the_top_of_the_stream() -> None:
    async with world() as w:
        await w.publish("chat:a", "old", "older")
        client = Client("c")
        await w.subscribe(client, "chat:a")
        assert client.replies == [Subscribed(Position("E1", 2))]
        await w.publish("chat:a", "new")
        assert client.pushes == [{"channel": "chat:a", "pub": {"data": "new", "offset": 3, "time": 7}}]


async def test_the_channel_is_bound_before_its_position_is_read_and_what_comes_between_is_merged() -> None:
    async with world() as w:
        w.inbox.gate = asyncio.Event()
        w.history.answers = False
        client = Client("c")
        await w.subscribe(client, "chat:a")
        assert w.history.reads == []
        w.inbox.gate.set()
        await settle()
        await w.publish("chat:a", 1, 2)
        (read,) = w.history.waiting
        w.history.serve(read)
        await w.publish("chat:a", 3)
        w.history.reply(read)
        await settle()
        assert client.reply.position == Position("E1", 3)
        await w.publish("chat:a", 4)
        assert client.data == [4]


async def test_a_channel_that_is_followed_takes_subscribers_at_once_and_asks_nothing() -> None:
    async with world() as w:
        await w.subscribe(Client("c"), "chat:a")
        await w.publish("chat:a", 1)
        reads = len(w.history.reads)
        client = Client("d")
        w.channels.subscribe(Subscribe("chat:a", positioned=True), client, client.done)
        assert client.replies == [Subscribed(Position("E1", 1))]
        assert len(w.history.reads) == reads


async def test_the_position_of_a_reply_covers_what_arrived_but_was_not_written_yet() -> None:
    async with world() as w:
        first, second = Client("1"), Client("2")
        await w.subscribe(first, "chat:a")
        w.channels.take(w.history.publish("chat:a", 1))
        w.channels.subscribe(Subscribe("chat:a", positioned=True), second, second.done)
        w.channels.take(w.history.publish("chat:a", 2))
        await settle()
        assert second.reply.position == Position("E1", 1)
        assert (first.data, second.data) == ([1, 2], [2])


async def test_who_asked_for_no_position_is_told_none_but_gets_everything_once() -> None:
    async with world() as w:
        client = Client("c")
        w.channels.subscribe(Subscribe("chat:a"), client, client.done)
        await settle()
        assert client.replies == [Subscribed()]
        await w.publish("chat:a", 1)
        assert client.data == [1]


async def test_a_publication_that_arrives_twice_is_pushed_once() -> None:
    async with world() as w:
        client = Client("c")
        await w.subscribe(client, "chat:a")
        delivery = w.history.publish("chat:a", 1)
        for _ in range(3):
            w.route(delivery)
        await w.deliver()
        assert client.data == [1]
        assert w.counts.of("chat").duplicates == 2


async def test_a_gap_is_filled_by_one_read_and_nobody_notices() -> None:
    async with world() as w:
        clients = [Client(f"c{number}") for number in range(3)]
        for client in clients:
            await w.subscribe(client, "chat:a")
        w.history.answers = False
        w.history.publish("chat:a", "lost")
        await w.publish("chat:a", 2, 3)
        assert len(w.history.waiting) == 1
        await w.publish("chat:a", 4)
        w.history.reply(w.history.waiting[0])
        await settle()
        assert all(client.data == ["lost", 2, 3, 4] and not client.ended for client in clients)
        counts = w.counts.of("chat")
        assert (counts.gaps, counts.healed) == (1, 1)


async def test_a_gap_longer_than_a_page_is_filled_page_by_page() -> None:
    async with world(BusSideOptions(recovery_limit=4)) as w:
        client = Client("c")
        await w.subscribe(client, "chat:a")
        w.history.page_size = 3
        for number in range(20):
            w.history.publish("chat:a", number)
        await w.publish("chat:a", 20)
        assert client.data == list(range(21))
        assert not client.ended


async def test_who_cannot_be_made_whole_is_told_and_may_subscribe_again() -> None:
    async with world() as w:
        client = Client("c")
        await w.subscribe(client, "chat:a", member=Member(client="c"))
        w.history.size = 2
        for number in range(5):
            w.history.publish("chat:a", number)
        await w.publish("chat:a", 5)
        assert client.ended == LOST
        assert client.data == []
        assert w.channels.num_subscribers("chat:a") == 0
        assert [event for event, *_ in w.presence.events] == ["joined", "left"]
        await w.subscribe(client, "chat:a")
        assert client.reply.position == Position("E1", 6)
        await w.publish("chat:a", 6)
        assert client.data == [6]
        assert w.counts.of("chat").insufficient == 1


async def test_a_new_epoch_ends_the_subscriptions_of_the_old_one() -> None:
    async with world() as w:
        client = Client("c")
        await w.subscribe(client, "chat:a")
        await w.publish("chat:a", 1)
        w.history.restart("chat:a", "E2")
        await w.publish("chat:a", 1)
        assert client.ended == LOST
        await w.subscribe(client, "chat:a", Position("E1", 1))
        assert client.reply == Subscribed(Position("E2", 1), was_recovering=True)


async def test_too_much_behind_a_gap_ends_the_subscriptions() -> None:
    async with world(BusSideOptions(hold_publications=3)) as w:
        client = Client("c")
        await w.subscribe(client, "chat:a")
        w.history.answers = False
        w.history.publish("chat:a", "lost")
        await w.publish("chat:a", *range(4))
        assert client.ended == LOST


async def test_more_than_can_be_written_ends_the_subscriptions() -> None:
    async with world(BusSideOptions(fanout_pending_bytes=500)) as w:
        client = Client("c")
        await w.subscribe(client, "chat:a")
        await w.publish("chat:a", *("x" * 100 for _ in range(10)))
        assert client.ended == LOST
        assert client.data == []
        await w.subscribe(client, "chat:a", Position("E1", 0))
        assert client.reply.recovered


async def test_a_delivery_without_a_position_is_dead_lettered() -> None:
    async with world() as w:
        client = Client("c")
        await w.subscribe(client, "chat:a")
        w.route(Delivery("warren.deliver", "chat.a", b"1"))
        await w.deliver()
        assert client.frames == []
        assert "position" in w.dead[0][1]


async def test_a_position_that_a_publisher_claims_is_not_believed() -> None:
    async with world() as w:
        client = Client("c")
        await w.subscribe(client, "chat:a")
        w.route(live("chat:a", b"1", {"offset": 1, "epoch": "E1"}))
        await w.deliver()
        assert client.frames == []
        assert "history" in w.dead[0][1]
        await w.publish("chat:a", 1)
        assert client.data == [1]


async def test_a_channel_without_subscribers_keeps_its_position_until_it_is_unbound() -> None:
    async with world(BusSideOptions(unbind_grace=30)) as w:
        client = Client("c")
        await w.subscribe(client, "chat:a")
        await w.publish("chat:a", 1)
        w.channels.unsubscribe("chat:a", client)
        await w.publish("chat:a", 2)
        reads = len(w.history.reads)
        await w.subscribe(client, "chat:a")
        assert client.reply.position == Position("E1", 2)
        assert len(w.history.reads) == reads
        w.channels.unsubscribe("chat:a", client)
        await w.tick(31)
        assert w.inbox.bound == set()
        await w.subscribe(client, "chat:a")
        assert len(w.history.reads) == reads + 1


async def test_who_leaves_before_being_told_that_its_subscription_ended_is_not_told() -> None:
    async with world(BusSideOptions(fanout_slice=1)) as w:
        first, second = Client("1"), Client("2")
        await w.subscribe(first, "chat:a", member=Member(client="1"))
        await w.subscribe(second, "chat:a", member=Member(client="2"))
        w.history.restart("chat:a", "E2")
        w.channels.take(w.history.publish("chat:a", 1))
        w.channels.unsubscribe("chat:a", second)
        await settle()
        assert (first.ended, second.ended) == (LOST, [])
        assert sorted(w.presence.events[2:]) == [("left", "chat:a", "1"), ("left", "chat:a", "2")]
        await w.subscribe(second, "chat:a")
        assert second.reply.position == Position("E2", 1)


async def test_a_namespace_that_loses_its_history_makes_its_subscribers_subscribe_again() -> None:
    async with world() as w:
        client, waiting = Client("c"), Client("w")
        await w.subscribe(client, "chat:a")
        w.history.answers = False
        await w.subscribe(waiting, "chat:b")
        w.channels.use(namespaces("namespaces: [{name: chat}]"))
        await settle()
        assert client.ended == LOST
        assert waiting.replies == [Errors.INTERNAL]
        w.history.reply(w.history.waiting[0])
        await w.subscribe(client, "chat:a")
        assert client.reply == Subscribed()
        w.channels.take(Delivery("warren.deliver", "chat.a", b"1"))
        await settle()
        assert client.data == [1]


async def test_a_bug_in_reading_refuses_who_waits_and_nobody_else() -> None:
    async with world() as w:
        first, second = Client("1"), Client("2")
        w.history.epochs["chat:a"] = "E1"
        w.history.streams["chat:a"] = None  # type: ignore[assignment]  # makes the fake history crash
        await w.subscribe(first, "chat:a", Position("E1", 0))
        await w.subscribe(second, "chat:b")
        assert first.replies == [Errors.INTERNAL]
        assert isinstance(second.replies[0], Subscribed)


async def test_a_gap_that_closes_by_itself_does_not_hide_the_next_one() -> None:
    async with world() as w:
        client = Client("c")
        await w.subscribe(client, "chat:a")
        first, second = w.history.publish("chat:a", 1), w.history.publish("chat:a", 2)
        w.channels.take(second)
        w.channels.take(first)
        await settle()
        w.history.publish("chat:a", 3)
        await w.publish("chat:a", 4)
        assert client.data == [1, 2, 3, 4]


async def test_a_gap_among_what_came_before_the_position_is_filled() -> None:
    async with world() as w:
        w.history.answers = False
        client = Client("c")
        await w.subscribe(client, "chat:a")
        (read,) = w.history.waiting
        w.history.serve(read)
        w.history.publish("chat:a", "lost")
        await w.publish("chat:a", 2)
        w.history.reply(read)
        await settle()
        assert client.reply.position == Position("E1", 0)
        w.history.reply(w.history.waiting[0])
        await settle()
        assert client.data == ["lost", 2]


async def test_what_arrives_during_a_read_whose_asker_has_left_is_not_lost_to_the_next_subscriber() -> None:
    async with world() as w:
        await w.publish("chat:a", 1, 2)
        w.history.answers = False
        gone, client = Client("g"), Client("c")
        await w.subscribe(gone, "chat:a")
        (read,) = w.history.waiting
        w.history.serve(read)
        w.channels.unsubscribe("chat:a", gone)
        await w.publish("chat:a", 3)
        w.history.reply(read)
        await settle()
        await w.subscribe(client, "chat:a")
        assert client.reply.position == Position("E1", 3)
