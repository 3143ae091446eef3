"""Subscribing to channels without history, and what the bus brings on them."""

from __future__ import annotations

import asyncio

import pytest

from warren_gateway.bus_options import BusSideOptions
from warren_gateway.handlers.counts import BusCounts
from warren_gateway.ports import Subscribe, Subscribed
from warren_shared.contracts.codes import Errors, Unsubscribes
from warren_shared.contracts.presence import Member

from .bus_fakes import Client, namespaces
from .bus_world import announced, live, settle, world


async def test_a_subscription_is_answered_once_the_channel_is_bound() -> None:
    async with world() as w:
        w.inbox.gate = asyncio.Event()
        client = Client("c")
        await w.subscribe(client, "live:a")
        assert client.replies == []
        w.inbox.gate.set()
        await settle()
        assert client.replies == [Subscribed()]
        assert w.inbox.bound == {"live.a"}
        assert w.channels.num_subscribers("live:a") == 1


async def test_the_next_subscription_is_answered_at_once_and_binds_nothing() -> None:
    async with world() as w:
        await w.subscribe(Client("c"), "live:a")
        log = list(w.inbox.log)
        client = Client("d")
        w.channels.subscribe(Subscribe("live:a"), client, client.done)
        assert client.replies == [Subscribed()]
        await settle()
        assert w.inbox.log == log


async def test_publications_reach_the_subscribers_of_their_channel_only() -> None:
    async with world() as w:
        one, other = Client("1"), Client("2")
        await w.subscribe(one, "live:a")
        await w.subscribe(other, "live:b")
        await w.publish("live:a", 1, 2)
        await w.publish("live:b", 3)
        await w.publish("live:c", 4)
        assert (one.data, other.data) == ([1, 2], [3])


async def test_many_subscriptions_at_once_are_bound_in_one_batch() -> None:
    async with world() as w:
        clients = [Client(f"c{number}") for number in range(20)]
        for number, client in enumerate(clients):
            w.channels.subscribe(Subscribe(f"live:{number}"), client, client.done)
        await settle()
        assert len(w.inbox.log) == 1
        assert all(client.replies == [Subscribed()] for client in clients)


async def test_an_unknown_namespace_is_refused() -> None:
    async with world() as w:
        client = Client("c")
        await w.subscribe(client, "nowhere:a")
        assert client.replies == [Errors.UNKNOWN_CHANNEL]
        assert w.inbox.log == []


async def test_without_a_broker_a_new_channel_is_refused_for_now_and_works_when_it_is_back() -> None:
    async with world(connected=False) as w:
        client = Client("c")
        await w.subscribe(client, "live:a")
        assert client.replies == [Errors.INTERNAL]
        await w.connect()
        await w.subscribe(client, "live:a")
        assert client.reply == Subscribed()
        await w.publish("live:a", 1)
        assert client.data == [1]


async def test_without_a_broker_a_channel_that_was_bound_takes_more_subscribers() -> None:
    async with world() as w:
        first, second = Client("1"), Client("2")
        await w.subscribe(first, "live:a")
        await w.disconnect()
        await w.subscribe(second, "live:a")
        assert second.replies == [Subscribed()]
        await w.connect()
        assert w.inbox.bound == {"live.a"}
        await w.publish("live:a", 1)
        assert first.data == second.data == [1]


async def test_a_binding_that_fails_refuses_those_who_wait_for_it() -> None:
    async with world() as w:
        w.inbox.fails = True
        client = Client("c")
        await w.subscribe(client, "live:a")
        assert client.replies == [Errors.INTERNAL]
        assert w.channels.num_subscribers("live:a") == 0
        w.inbox.fails = False
        await w.subscribe(client, "live:a")
        assert client.reply == Subscribed()


async def test_a_connection_lost_while_a_binding_is_under_way_refuses_those_who_wait_for_it() -> None:
    async with world() as w:
        w.inbox.gate = gate = asyncio.Event()
        client = Client("c")
        await w.subscribe(client, "live:a")
        await w.disconnect()
        assert client.replies == [Errors.INTERNAL]
        await w.connect()
        gate.set()
        await settle()
        assert w.inbox.bound == set()


async def test_who_subscribes_between_an_arrival_and_its_writing_is_not_written_it() -> None:
    async with world() as w:
        first, second = Client("1"), Client("2")
        await w.subscribe(first, "live:a")
        w.channels.take(live("live:a", b"1"))
        w.channels.subscribe(Subscribe("live:a"), second, second.done)
        w.channels.take(live("live:a", b"2"))
        await settle()
        assert (first.data, second.data) == ([1, 2], [2])


async def test_who_gives_up_while_waiting_is_never_answered() -> None:
    async with world() as w:
        w.inbox.gate = asyncio.Event()
        client = Client("c")
        await w.subscribe(client, "live:a")
        w.channels.unsubscribe("live:a", client)
        w.inbox.gate.set()
        await settle()
        assert client.replies == []
        assert w.channels.num_subscribers("live:a") == 0


async def test_who_unsubscribes_is_written_nothing_more_not_even_what_had_arrived() -> None:
    async with world() as w:
        client = Client("c")
        await w.subscribe(client, "live:a")
        w.channels.take(live("live:a", b"1"))
        w.channels.unsubscribe("live:a", client)
        await settle()
        assert client.frames == []
        w.channels.unsubscribe("live:a", client)
        w.channels.unsubscribe("live:never", client)


async def test_a_channel_is_unbound_after_its_grace_and_a_quick_return_costs_nothing() -> None:
    async with world(BusSideOptions(unbind_grace=10)) as w:
        client = Client("c")
        await w.subscribe(client, "live:a")
        w.channels.unsubscribe("live:a", client)
        await w.tick(5)
        await w.subscribe(client, "live:a")
        await w.tick(20)
        assert [what for what, _ in w.inbox.log] == ["bind"]
        w.channels.unsubscribe("live:a", client)
        await w.tick(10)
        assert w.inbox.bound == set()
        await w.subscribe(client, "live:a")
        assert w.inbox.bound == {"live.a"}


async def test_past_the_threshold_the_namespace_is_bound_and_the_rest_is_filtered_here() -> None:
    async with world(BusSideOptions(namespace_binding_threshold=3)) as w:
        clients = [Client(f"c{number}") for number in range(6)]
        for number, client in enumerate(clients):
            await w.subscribe(client, f"live:{number}")
        assert all(client.replies == [Subscribed()] for client in clients)
        await w.tick()
        assert w.inbox.bound == {"live.#"}
        await w.publish("live:5", 5)
        await w.publish("live:99", 99)
        assert clients[5].data == [5]
        assert w.counts.filtered == 1


def test_what_is_filtered_under_a_key_that_is_no_channels_is_counted_apart() -> None:
    counts = BusCounts()
    for key in ("live.a", "live.a#42", "live.$.a", "live."):
        counts.filter_out(key)
    assert (counts.filtered, counts.no_channel) == (4, 0)
    for key in ("live.*", "live.#", "live", "live.\xe93", "live.a\nb"):
        counts.filter_out(key)
    assert (counts.filtered, counts.no_channel) == (9, 5)


async def test_a_malformed_publication_is_dead_lettered_with_its_reason_and_disturbs_nothing() -> None:
    async with world() as w:
        client = Client("c")
        await w.subscribe(client, "live:a")
        for body in (b"1", b"{", b"2"):
            w.route(live("live:a", body))
        await w.deliver()
        assert client.data == [1, 2]
        ((delivery, reason),) = w.dead
        assert delivery.body == b"{"
        assert "JSON" in reason
        assert w.counts.of("live").malformed == 1


async def test_a_position_claimed_on_a_live_channel_is_ignored() -> None:
    async with world() as w:
        client = Client("c")
        await w.subscribe(client, "live:a")
        w.route(live("live:a", b"1", {"offset": 9, "epoch": "x", "time": 5}))
        await w.deliver()
        assert client.pushes == [{"channel": "live:a", "pub": {"data": 1}}]


async def test_joins_and_leaves_are_pushed_to_those_who_want_them() -> None:
    async with world() as w:
        wants, wants_not = Client("w"), Client("n")
        await w.subscribe(wants, "live:a", push_join_leave=True)
        await w.subscribe(wants_not, "live:a")
        body = b'{"user":"u","client":"x",\n"conn_info":{"a":1}}'
        w.route(announced("live:a", body, "join"))
        w.route(announced("live:a", body, "leave"))
        w.route(announced("live:a", b"[]", "leave"))
        await w.deliver()
        who = {"info": {"user": "u", "client": "x", "conn_info": {"a": 1}}}
        assert wants.pushes == [{"channel": "live:a", "join": who}, {"channel": "live:a", "leave": who}]
        assert wants_not.pushes == []
        assert len(w.dead) == 1


async def test_a_type_that_a_backend_uses_for_itself_makes_no_difference() -> None:
    async with world() as w:
        client = Client("c")
        await w.subscribe(client, "live:a")
        for kind in ("order.created", "join", "leave"):
            w.route(live("live:a", b'{"user":"u","client":"c"}', kind=kind))
        await w.deliver()
        assert client.data == [{"user": "u", "client": "c"}] * 3


async def test_a_type_that_only_newer_services_know_is_dead_lettered_and_never_shown_as_a_publication() -> None:
    async with world() as w:
        client = Client("c")
        await w.subscribe(client, "live:a", push_join_leave=True)
        for kind in ("moved", "publication", "join"):
            w.route(announced("live:a", b'{"user":"u","client":"x"}', kind))
        await w.deliver()
        who = {"user": "u", "client": "x"}
        assert [push.get("pub", push.get("join")) for push in client.pushes] == [{"data": who}, {"info": who}]
        ((delivery, reason),) = w.dead
        assert delivery.type == "moved"
        assert "'moved' is not known" in reason


async def test_presence_is_told_of_subscriptions_that_have_a_member() -> None:
    async with world() as w:
        client, other = Client("c"), Client("d")
        await w.subscribe(client, "live:a", member=Member(client="c"), announce=True)
        await w.subscribe(other, "live:a")
        w.channels.unsubscribe("live:a", client)
        w.channels.unsubscribe("live:a", other)
        w.channels.unsubscribe("live:a", client)
        assert w.presence.events == [("joined", "live:a", "c"), ("left", "live:a", "c")]


async def test_an_answer_may_unsubscribe_at_once() -> None:
    async with world() as w:
        client = Client("c")
        w.inbox.gate = asyncio.Event()
        w.channels.subscribe(
            Subscribe("live:a", member=Member(client="c")), client, lambda _: w.channels.unsubscribe("live:a", client)
        )
        w.inbox.gate.set()
        await settle()
        assert w.channels.num_subscribers("live:a") == 0
        assert [event for event, *_ in w.presence.events] == ["joined", "left"]


async def test_a_great_many_who_wait_are_answered_in_several_turns() -> None:
    async with world(BusSideOptions(admit_slice=10)) as w:
        w.inbox.gate = asyncio.Event()
        clients = [Client(f"c{number}") for number in range(35)]
        for client in clients:
            w.channels.subscribe(Subscribe("live:a"), client, client.done)
        await settle()
        w.inbox.gate.set()
        answered: list[int] = []
        while not answered or answered[-1] < len(clients):
            await asyncio.sleep(0)
            answered.append(sum(map(bool, (client.replies for client in clients))))
        assert sorted({0, *answered}) == [0, 10, 20, 30, 35]


@pytest.mark.parametrize(
    ("change", "ended"),
    [("{name: live, history_size: 5, history_ttl: 1m}", True), ("{name: other}", True), ("{name: live}", False)],
)
async def test_a_change_of_a_namespaces_kind_makes_its_subscribers_subscribe_again(change: str, ended: bool) -> None:
    async with world() as w:
        client = Client("c")
        await w.subscribe(client, "live:a")
        w.channels.use(namespaces(f"namespaces: [{change}]"))
        await settle()
        assert client.ended == ([("live:a", Unsubscribes.INSUFFICIENT_STATE)] if ended else [])
        assert w.channels.num_subscribers("live:a") == (0 if ended else 1)


async def test_a_namespace_that_gets_personal_channels_is_bound_whole() -> None:
    async with world() as w:
        await w.subscribe(Client("c"), "live:a")
        w.channels.use(namespaces("namespaces: [{name: live, bind_namespace: true}]"))
        await settle()
        await w.tick()
        assert w.inbox.bound == {"live.#"}


async def test_unbinding_that_fails_is_tried_again() -> None:
    async with world(BusSideOptions(unbind_grace=1)) as w:
        client = Client("c")
        await w.subscribe(client, "live:a")
        w.channels.unsubscribe("live:a", client)
        w.inbox.fails = True
        await w.tick(2)
        assert w.inbox.bound == {"live.a"}
        w.inbox.fails = False
        await w.tick(1)
        assert w.inbox.bound == set()


async def test_a_channel_that_is_needed_again_while_it_is_unbound_is_bound_after_that() -> None:
    async with world(BusSideOptions(unbind_grace=1)) as w:
        client = Client("c")
        await w.subscribe(client, "live:a")
        w.channels.unsubscribe("live:a", client)
        w.inbox.gate = asyncio.Event()
        await w.tick(2)
        await w.subscribe(client, "live:a")
        assert len(client.replies) == 1
        w.inbox.gate.set()
        await settle()
        assert len(client.replies) == 2
        assert w.inbox.bound == {"live.a"}


async def test_an_answer_that_raises_against_its_contract_leaves_nobody_else_waiting() -> None:
    problems: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context["exception"]))
    async with world() as w:
        w.inbox.gate = asyncio.Event()

        def raises(reply: object) -> None:
            raise RuntimeError(reply)

        w.channels.subscribe(Subscribe("live:a"), Client("broken"), raises)
        clients = [Client(f"c{number}") for number in range(3)]
        for client in clients:
            w.channels.subscribe(Subscribe("live:a"), client, client.done)
        w.inbox.gate.set()
        await settle()
        assert all(client.replies == [Subscribed()] for client in clients)
    assert len(problems) == 1


async def test_what_is_heard_of_an_earlier_connection_says_nothing_about_the_present_one() -> None:
    async with world() as w:
        earlier, client = w.inbox, Client("c")
        earlier.gate = asyncio.Event()
        await w.subscribe(client, "live:a")
        await w.disconnect()
        await w.connect()
        w.inbox.gate = asyncio.Event()
        await w.subscribe(client, "live:a")
        earlier.fails = False
        earlier.gate.set()
        await settle()
        assert len(client.replies) == 1, "refused when the connection was lost, and not bound yet on the new one"
        w.inbox.gate.set()
        await settle()
        assert client.reply == Subscribed()
        assert w.inbox.bound == {"live.a"}
