"""Subscriptions to patterns: what they are shown, and that they disturb nobody else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from warren_gateway.domain.protobuf import client_pb2 as pb
from warren_gateway.domain.protobuf.encoding import PROTOBUF
from warren_gateway.ports import Subscribe
from warren_shared.contracts.codes import Disconnects, Unsubscribes
from warren_shared.contracts.namespaces import parse_namespaces

from .bus_fakes import NAMESPACES, Client, Lines
from .bus_world import World, announced, live, packed, settle, world


async def follow(w: World, client: Client, pattern: str) -> Client:
    w.channels.subscribe(Subscribe(pattern), client, client.done)
    await settle()
    assert client.reply.position is None
    return client


def shown(client: Client) -> list[tuple[str, str, object]]:
    """(the push's channel, the publication's, its data)."""
    return [(push["channel"], push["pub"].get("channel", ""), push["pub"]["data"]) for push in client.pushes]


async def test_a_pattern_is_shown_what_is_published_on_each_channel_it_matches_with_its_name() -> None:
    async with world() as w:
        client = await follow(w, Client("c"), "orders:eu.*.created")
        assert w.inbox.bound == {"orders.eu.*.created"}
        await w.publish("orders:eu.1.created", "a")
        await w.publish("orders:eu.2.created", "b")
        await w.publish("orders:us.1.created", "c")
        pattern = "orders:eu.*.created"
        assert shown(client) == [(pattern, "orders:eu.1.created", "a"), (pattern, "orders:eu.2.created", "b")]


async def test_whoever_has_both_the_channel_and_patterns_is_written_one_push_for_each() -> None:
    async with world() as w:
        client = Client("c")
        for channel in ("orders:eu.1", "orders:eu.*", "orders:#"):
            await follow(w, client, channel)
        await w.publish("orders:eu.1", 7)
        assert sorted(shown(client)) == [
            ("orders:#", "orders:eu.1", 7),
            ("orders:eu.*", "orders:eu.1", 7),
            ("orders:eu.1", "", 7),
        ]


@pytest.mark.parametrize("channel", ["$orders:eu", "orders:$eu", "orders:eu#42"])
async def test_private_and_user_limited_channels_are_shown_to_no_pattern(channel: str) -> None:
    async with world() as w:
        client = await follow(w, Client("c"), "orders:#")
        await w.publish(channel, 1)
        assert client.pushes == []


async def test_a_publication_is_encoded_once_for_each_encoding_whatever_the_subscribers() -> None:
    async with world() as w:
        lines = Lines()
        room = [await follow(w, Client(f"c{number}", lines), "orders:#") for number in range(5)]
        binary = await follow(w, Client("p", Lines(PROTOBUF)), "orders:#")
        await w.publish("orders:eu.1", {"a": 1})
        assert lines.packed == 1
        assert {tuple(client.frames) for client in room} == {tuple(room[0].frames)}
        (frame,) = binary.frames
        push = pb.Reply.FromString(frame).push
        assert (push.channel, push.pub.channel, push.pub.data) == ("orders:#", "orders:eu.1", b'{"a":1}')


class TestDurable:
    async def test_publications_are_shown_as_they_come_beside_who_has_a_position(self) -> None:
        async with world() as w:
            exact = Client("exact")
            await w.subscribe(exact, "trades:eu.1")
            pattern = await follow(w, Client("pattern"), "trades:eu.*")
            await w.publish("trades:eu.1", 1, 2)
            assert exact.data == pattern.data == [1, 2]
            assert [push["pub"]["offset"] for push in pattern.pushes] == [1, 2]

    async def test_packs_are_shown_too(self) -> None:
        async with world() as w:
            exact = Client("exact")
            await w.subscribe(exact, "trades:eu.1")
            pattern = await follow(w, Client("pattern"), "trades:eu.*")
            w.route(packed(w.history.publish("trades:eu.1", 1), w.history.publish("trades:eu.1", 2)))
            w.route(packed(w.history.publish("trades:eu.2", 3), w.history.publish("trades:eu.2", 4)))
            await w.deliver()
            assert exact.data == [1, 2]
            assert [(channel, data) for _, channel, data in shown(pattern)] == [
                ("trades:eu.1", 1),
                ("trades:eu.1", 2),
                ("trades:eu.2", 3),
                ("trades:eu.2", 4),
            ]

    async def test_a_gap_is_healed_for_who_has_a_position_and_not_for_a_pattern(self) -> None:
        async with world() as w:
            exact = Client("exact")
            await w.subscribe(exact, "trades:eu.1")
            pattern = await follow(w, Client("pattern"), "trades:#")
            await w.publish("trades:eu.1", 1)
            w.history.publish("trades:eu.1", 2)  # lost on its way
            await w.publish("trades:eu.1", 3)
            await settle()
            assert (exact.data, pattern.data) == ([1, 2, 3], [1, 3])

    async def test_what_is_on_its_way_to_history_is_not_shown_twice(self) -> None:
        async with world() as w:
            pattern = await follow(w, Client("pattern"), "trades:#")
            w.channels.take(live("trades:eu.1", b"1"))
            await settle()
            assert pattern.pushes == []


async def test_joins_and_leaves_are_shown_to_no_pattern() -> None:
    async with world() as w:
        client = await follow(w, Client("c"), "orders:#")
        w.channels.take(announced("orders:eu", b'{"user":"u","client":"x"}', "join"))
        await settle()
        assert client.pushes == []
        assert w.dead == []


async def test_a_publication_that_cannot_be_used_becomes_one_dead_letter_whoever_follows_it() -> None:
    async with world() as w:
        await follow(w, Client("pattern"), "orders:#")
        await follow(w, Client("other"), "orders:eu.*")
        await follow(w, Client("exact"), "orders:eu.1")
        for channel in ("orders:eu.1", "orders:us"):
            w.channels.take(live(channel, b"{"))
        await settle()
        assert [delivery.routing_key for delivery, _ in w.dead] == ["orders.eu.1", "orders.us"]


async def test_what_no_pattern_matches_is_counted_as_filtered_out() -> None:
    async with world() as w:
        await follow(w, Client("c"), "orders:eu.*")
        w.channels.take(live("orders:us.1", b"1"))
        assert w.counts.filtered == 1
        w.channels.take(live("orders:eu.1", b"1"))
        assert w.counts.filtered == 1


async def test_a_pattern_nobody_needs_any_more_is_unbound_and_shown_nothing() -> None:
    async with world() as w:
        client = await follow(w, Client("c"), "orders:eu.*")
        w.channels.unsubscribe("orders:eu.*", client)
        await w.tick(60)
        assert w.inbox.bound == set()
        assert w.channels.followed() == {}
        w.channels.take(live("orders:eu.1", b"1"))
        await settle()
        assert client.pushes == []


async def test_patterns_are_bound_again_on_a_new_connection() -> None:
    async with world() as w:
        client = await follow(w, Client("c"), "orders:eu.*")
        everything = await follow(w, Client("e"), "orders:#")
        await w.disconnect()
        await w.connect()
        await w.publish("orders:eu.1", 1)
        assert (client.data, everything.data) == ([1], [1])


async def test_the_pattern_of_all_channels_is_the_binding_of_the_namespace() -> None:
    async with world() as w:
        client = await follow(w, Client("c"), "orders:#")
        await follow(w, Client("d"), "orders:eu.1")
        assert w.inbox.bound == {"orders.#"}
        w.channels.unsubscribe("orders:#", client)
        await w.tick(60)
        await w.publish("orders:eu.1", 1)
        assert w.channels.num_subscribers("orders:eu.1") == 1
        assert w.inbox.matches("orders.eu.1")


async def test_a_namespace_that_allows_no_patterns_any_more_ends_them() -> None:
    async with world() as w:
        client = await follow(w, Client("c"), "orders:eu.*")
        exact = await follow(w, Client("x"), "orders:eu.1")
        w.channels.use(parse_namespaces(NAMESPACES.replace("{name: orders, allow_patterns: true}", "{name: orders}")))
        await settle()
        assert client.ended == [("orders:eu.*", Unsubscribes.INSUFFICIENT_STATE)]
        assert exact.ended == []
        await w.publish("orders:eu.1", 1)
        assert (client.data, exact.data) == ([], [1])


async def test_a_namespace_that_becomes_durable_keeps_its_patterns() -> None:
    async with world() as w:
        client = await follow(w, Client("c"), "orders:eu.*")
        durable = "{name: orders, allow_patterns: true, history_size: 10, history_ttl: 1h}"
        w.channels.use(parse_namespaces(NAMESPACES.replace("{name: orders, allow_patterns: true}", durable)))
        w.route(w.history.publish("orders:eu.1", 1))
        await w.deliver()
        assert (client.data, client.ended) == ([1], [])


async def test_who_speaks_json_is_closed_where_a_pattern_shows_what_is_none() -> None:
    async with world() as w:
        binary = "{name: orders, allow_patterns: true, publication_data_format: binary}"
        w.channels.use(parse_namespaces(NAMESPACES.replace("{name: orders, allow_patterns: true}", binary)))
        client = await follow(w, Client("c"), "orders:eu.*")
        delivery = live("orders:eu.1", b"1")
        w.channels.take(replace(delivery, body=b"\xff"))
        await settle()
        assert client.closed == [Disconnects.INAPPROPRIATE_PROTOCOL]
