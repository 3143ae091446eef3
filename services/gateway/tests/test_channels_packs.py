"""Packs: several publications in one delivery reach clients as if each had come alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanContext

from warren_gateway.bus_options import BusSideOptions
from warren_gateway.domain.publications import durable_publication, packed_publication
from warren_shared.contracts.channels import namespace_key, namespace_of, routing_key_of
from warren_shared.contracts.pack import Packed, PackWriter, pack_publication
from warren_shared.contracts.publication import Position
from warren_shared.messaging.port import Delivery
from warren_shared.observability.tracing import Tracing

from .bus_fakes import Client, namespaces
from .bus_world import World, packed, world

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def published(w: World, channel: str, *data: object) -> Delivery:
    """A pack of what is published on one channel."""
    return packed(*(w.history.publish(channel, each) for each in data))


async def arrive(w: World, *deliveries: Delivery) -> None:
    for each in deliveries:
        w.route(each)
    await w.deliver()


async def test_publications_of_a_pack_are_pushed_in_order_and_look_as_if_each_had_come_alone() -> None:
    async with world() as w:
        one, other = Client("1"), Client("2")
        await w.subscribe(one, "chat:a")
        await w.subscribe(other, "chat:b")
        headers = {"info": '{"user":"u","client":"c"}', "tag-k": "v"}
        await arrive(w, packed(*(w.history.publish("chat:a", number, headers=headers) for number in range(50))))
        await arrive(w, *(w.history.publish("chat:b", number, headers=headers) for number in range(50)))
        assert [push["pub"] for push in one.pushes] == [push["pub"] for push in other.pushes]
        assert one.data == list(range(50))
        assert one.framing.packed == 1


async def test_packs_and_messages_of_their_own_follow_one_another() -> None:
    async with world() as w:
        client = Client("c")
        await w.subscribe(client, "chat:a")
        await arrive(
            w,
            published(w, "chat:a", 1, 2),
            w.history.publish("chat:a", 3),
            published(w, "chat:a", 4, 5),
        )
        assert client.data == [1, 2, 3, 4, 5]
        assert w.counts.of("chat").publications == 5


async def test_a_pack_that_arrives_twice_or_overlaps_another_is_pushed_once() -> None:
    async with world() as w:
        client = Client("c")
        await w.subscribe(client, "chat:a")
        three = [w.history.publish("chat:a", number) for number in range(3)]
        await arrive(w, packed(*three[:2]), packed(*three[:2]), packed(*three))
        assert client.data == [0, 1, 2]
        assert w.counts.of("chat").duplicates == 4


async def test_a_pack_that_is_lost_shows_as_a_gap_and_is_read_from_history() -> None:
    async with world() as w:
        client = Client("c")
        await w.subscribe(client, "chat:a")
        published(w, "chat:a", 1, 2)
        await arrive(w, published(w, "chat:a", 3, 4))
        assert client.data == [1, 2, 3, 4]
        counts = w.counts.of("chat")
        assert (counts.gaps, counts.healed) == (1, 1)


async def test_what_a_pack_brings_while_the_position_is_read_is_merged() -> None:
    async with world() as w:
        w.history.answers = False
        client = Client("c")
        await w.subscribe(client, "chat:a")
        (read,) = w.history.waiting
        await arrive(w, published(w, "chat:a", 1, 2))
        w.history.serve(read)
        await arrive(w, published(w, "chat:a", 3, 4))
        w.history.reply(read)
        await w.deliver()
        assert client.reply.position == Position("E1", 4)


async def test_a_stream_that_is_lost_in_the_middle_of_a_pack_takes_nothing_more_of_it() -> None:
    async with world(BusSideOptions(fanout_pending_bytes=300)) as w:
        client = Client("c")
        await w.subscribe(client, "chat:a")
        await arrive(w, published(w, "chat:a", *("x" * 100 for _ in range(10))))
        assert [channel for channel, _ in client.ended] == ["chat:a"]
        assert client.data == []
        await w.subscribe(client, "chat:a", Position("E1", 0))
        assert client.reply.recovered


async def test_a_namespaces_pack_reaches_the_channels_that_are_followed_and_the_rest_is_counted() -> None:
    async with world() as w:
        one, other = Client("1"), Client("2")
        await w.subscribe(one, "mine:a")
        await w.subscribe(other, "mine:b")
        batch = [w.history.publish(f"mine:{name}", f"{name}{number}") for number in range(2) for name in "abcd"]
        await arrive(w, packed(*batch, key=namespace_key("mine")))
        assert (one.data, other.data) == (["a0", "a1"], ["b0", "b1"])
        assert (w.counts.filtered, w.counts.no_channel) == (4, 0)


async def test_what_nobody_follows_is_counted_and_not_read() -> None:
    async with world() as w:
        await w.subscribe(Client("c"), "mine:a")
        broken = bytearray(packed(*(w.history.publish("mine:b", number) for number in range(3)), key="mine").body)
        broken[-40:] = b"\xff" * 40
        await arrive(w, Delivery("warren.deliver", "mine", bytes(broken), type="pack"))
        assert w.counts.filtered == 3
        assert w.dead == []


async def test_packs_are_counted_by_how_much_they_hold_followed_or_not() -> None:
    async with world() as w:
        await w.subscribe(Client("c"), "mine:a")
        batch = [w.history.publish(f"mine:{name}", 1) for name in "abc"]
        await arrive(w, packed(*batch, key="mine"), w.history.publish("mine:a", 2))
        assert (w.counts.packs.total, sum(w.counts.packs.counts)) == (3, 1)


@pytest.mark.parametrize("cut", [1, 20, -1])
async def test_a_malformed_pack_is_dead_lettered_whole_and_disturbs_no_other_delivery(cut: int) -> None:
    async with world() as w:
        client = Client("c")
        await w.subscribe(client, "chat:a")
        whole = published(w, "chat:a", 1, 2)
        broken = Delivery("warren.deliver", "chat.a", whole.body[:cut], type="pack")
        w.channels.take(broken)
        assert w.dead == [(broken, w.dead[0][1])]
        assert w.dead[0][1].startswith("pack: ")
        assert w.counts.of("chat").malformed == 1
        await arrive(w, whole)
        assert client.data == [1, 2]


async def test_a_pack_of_a_newer_version_is_dead_lettered_as_unknown() -> None:
    async with world() as w:
        await w.subscribe(Client("c"), "chat:a")
        w.channels.take(
            Delivery("warren.deliver", "chat.a", b"\x02" + published(w, "chat:a", 1, 2).body[1:], type="pack")
        )
        ((_, reason),) = w.dead
        assert reason == "version 2 of a pack is not known here"


class BuggyTracing(Tracing):
    """Crashes on any trace context."""

    def incoming(self, headers: Mapping[str, object]) -> SpanContext | None:
        raise RuntimeError(f"a bug with {headers}")


async def test_a_bug_that_one_channel_meets_does_not_lose_the_others() -> None:
    async with world(tracing=BuggyTracing(None)) as w:
        one, other = Client("1"), Client("2")
        await w.subscribe(one, "mine:a")
        await w.subscribe(other, "mine:b")
        traced = w.history.publish("mine:a", 1, headers={"traceparent": TRACEPARENT})
        await arrive(w, packed(traced, w.history.publish("mine:b", 1), key="mine"))
        assert other.data == [1]
        assert [reason for _, reason in w.dead] == ["the gateway failed to handle it"]


async def test_what_a_newer_history_sends_in_a_way_not_known_here_is_read_once_the_channel_is_quiet() -> None:
    async with world() as w:
        client = Client("c")
        await w.subscribe(client, "chat:a")
        unknown = published(w, "chat:a", 1, 2)
        await arrive(w, replace(unknown, type="invented later"))
        assert (client.data, len(w.dead)) == ([], 1)
        for _ in range(8):
            await w.tick(10)
        assert client.data == [1, 2]


# What an attacker may try


@pytest.mark.parametrize("channel", ["live:a", "chat:a", "mine:a"])
@pytest.mark.parametrize("key", ["channel", "namespace"])
async def test_a_pack_that_a_backend_publishes_is_never_unpacked(channel: str, key: str) -> None:
    """It arrives by way of warren.publish, as everything of backends does where a namespace is live."""
    async with world() as w:
        victim = Client("v")
        await w.subscribe(victim, channel)
        forged = pack_publication(Packed(1, 7, b'"forged"', {"info": '{"user":"admin","client":"x"}'}))
        writer = PackWriter()
        writer.add(routing_key_of(channel), "E1", forged)
        under = routing_key_of(channel) if key == "channel" else namespace_key(namespace_of(channel))
        w.channels.take(Delivery("warren.publish", under, writer.body(), {"offset": 1, "epoch": "E1"}, type="pack"))
        await w.deliver()
        assert victim.frames == []
        assert w.counts.packs.total == 0
        await w.publish(channel, "true")
        assert victim.data == ["true"]


async def test_a_live_publication_that_a_backend_gives_the_type_of_a_pack_is_a_publication() -> None:
    async with world() as w:
        client = Client("c")
        await w.subscribe(client, "live:a")
        w.channels.take(Delivery("warren.publish", "live.a", b'"mine"', type="pack"))
        await w.deliver()
        assert client.data == ["mine"]


# What changes while packs are on their way


async def test_a_pack_for_a_channel_that_is_live_by_now_is_shown_without_positions() -> None:
    async with world() as w:
        client = Client("c")
        pack = published(w, "chat:a", 1, 2)
        w.channels.use(namespaces("namespaces: [{name: chat}]"))
        await w.subscribe(client, "chat:a")
        w.channels.take(pack)
        await w.deliver()
        assert [push["pub"] for push in client.pushes] == [{"data": 1}, {"data": 2}]


BOUND_WHOLE = "namespaces: [{name: chat, history_size: 10, history_ttl: 1h, bind_namespace: true}]"


async def test_what_history_packed_for_a_namespace_before_this_gateway_bound_it_whole_is_read() -> None:
    async with world() as w:
        client = Client("c")
        await w.subscribe(client, "chat:a")
        await w.publish("chat:a", 1)
        # History has read the new file sooner: this gateway is bound by chat.a alone.
        await arrive(w, packed(w.history.publish("chat:a", 2), w.history.publish("chat:b", 1), key="chat"))
        assert client.data == [1]
        w.channels.use(namespaces(BOUND_WHOLE))
        await arrive(w)
        assert "chat.#" in w.inbox.bound
        assert client.data == [1, 2]
        await arrive(w, packed(w.history.publish("chat:a", 3), w.history.publish("chat:b", 2), key="chat"))
        assert client.data == [1, 2, 3]


async def test_a_namespace_that_is_bound_whole_no_longer_stays_so_while_it_is_followed() -> None:
    async with world(names=namespaces(BOUND_WHOLE)) as w:
        client = Client("c")
        await w.subscribe(client, "chat:a")
        w.channels.use(namespaces(BOUND_WHOLE.replace(", bind_namespace: true", "")))
        # History has yet to hear of it.
        await arrive(w, packed(w.history.publish("chat:a", 1), w.history.publish("chat:b", 1), key="chat"))
        await arrive(w, published(w, "chat:a", 2, 3))
        assert client.data == [1, 2, 3]


# Traces


async def test_each_publication_of_a_pack_keeps_its_own_trace() -> None:
    async with world(tracing=Tracing(TracerProvider(shutdown_on_exit=False))) as w:
        await w.subscribe(Client("c"), "chat:a")
        first = w.history.publish("chat:a", 1, headers={"traceparent": TRACEPARENT})
        second = w.history.publish("chat:a", 2)
        third = w.history.publish("chat:a", 3, headers={"traceparent": TRACEPARENT.replace("b7ad", "c8ad")})
        await arrive(w, packed(first, second, third))
        ((_, traces, _),) = w.observer.traced
        spans = [f"{trace.span_id:016x}" for trace in traces if isinstance(trace, SpanContext)]
        assert spans == ["b7ad6b7169203331", "c8ad6b7169203331"]


headers = st.fixed_dictionaries(
    {},
    optional={
        "info": st.sampled_from(['{"user":"u"}', "1", "no JSON"]),
        "tag-k": st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
        "later": st.just("unknown"),
    },
)


@settings(max_examples=100)
@given(
    st.sampled_from([b"1", b'{"a":\n1}', b"\xff"]),
    headers,
    st.sampled_from(["json", "binary"]),
    st.integers(1, 2**63 - 1),
    st.integers(0, 2**62),
)
def test_a_publication_in_a_pack_is_shown_as_it_is_alone(
    data: bytes, of: dict[str, str], data_format: str, offset: int, time: int
) -> None:
    position = {"offset": offset, "epoch": "E1", "time": time}
    _, alone = durable_publication(data, {**of, **position}, data_format)
    assert packed_publication(Packed(offset, time, data, of), data_format) == alone
