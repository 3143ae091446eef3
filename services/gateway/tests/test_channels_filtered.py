"""Subscriptions that want some publications alone."""

from __future__ import annotations

import pytest

from warren_gateway.bus_options import BusSideOptions
from warren_gateway.domain.tags_filter import FilterNode, TagsFilter
from warren_shared.contracts.presence import Member
from warren_shared.contracts.publication import Position

from .bus_fakes import Client, Lines
from .bus_world import World, announced, live, offsets, settle, world

EVEN, ODD = (TagsFilter(FilterNode(key="kind", cmp="eq", val=kind)) for kind in ("even", "odd"))


class CountingFilter(TagsFilter):
    """Counts how often it is evaluated."""

    __slots__ = ("evaluated",)

    def __init__(self, node: FilterNode) -> None:
        super().__init__(node)
        matches, self.evaluated = self.matches, 0

        def counted(tags: object) -> bool:
            self.evaluated += 1
            return matches(tags)  # type: ignore[arg-type]  # passed on as it comes

        self.matches = counted


def headers_of(number: int) -> dict[str, str]:
    return {"tag-kind": "odd" if number % 2 else "even"}


async def publish(w: World, channel: str, *numbers: int) -> None:
    """Publish numbers with their kind as a tag, all in one turn."""
    for number in numbers:
        if channel.startswith("ticks:"):
            w.route(w.history.publish(channel, number, headers=headers_of(number)))
        else:
            w.route(live(channel, str(number).encode(), headers_of(number)))
    await w.deliver()


@pytest.mark.parametrize("channel", ["tagged:a", "ticks:a"])
@pytest.mark.parametrize("together", [True, False])
async def test_everybody_gets_what_its_filter_lets_through_in_order(channel: str, together: bool) -> None:
    framing = Lines()
    clients = {name: Client(name, framing) for name in ("all", "even", "odd")}
    async with world() as w:
        await w.subscribe(clients["all"], channel)
        await w.subscribe(clients["even"], channel, tags_filter=EVEN)
        await w.subscribe(clients["odd"], channel, tags_filter=ODD)
        for numbers in [tuple(range(1, 7))] if together else [(number,) for number in range(1, 7)]:
            await publish(w, channel, *numbers)
        assert {name: client.data for name, client in clients.items()} == {
            "all": [1, 2, 3, 4, 5, 6],
            "even": [2, 4, 6],
            "odd": [1, 3, 5],
        }
        tally = w.counts.of(channel.partition(":")[0])
        assert (tally.publications, tally.deliveries) == (6, 12)


async def test_a_filter_is_evaluated_once_for_a_publication_and_its_frames_packed_once_whoever_has_it() -> None:
    framing = Lines()
    one = CountingFilter(FilterNode(key="kind", cmp="eq", val="even"))
    other = CountingFilter(FilterNode(key="kind", cmp="ew", val="ven"))
    async with world() as w:
        for number in range(10):
            await w.subscribe(Client(f"a{number}", framing), "tagged:a", tags_filter=one)
            await w.subscribe(Client(f"b{number}", framing), "tagged:a", tags_filter=other)
        await publish(w, "tagged:a", 1, 2, 3)
        assert (one.evaluated, other.evaluated, framing.packed) == (3, 3, 1)


async def test_filters_no_publication_passes_take_their_share_of_a_turn() -> None:
    async with world(BusSideOptions(fanout_slice=4)) as w:
        for number in range(20):
            wants = TagsFilter(FilterNode(key="kind", cmp="eq", val=str(number)))
            await w.subscribe(Client(f"c{number}"), "tagged:a", tags_filter=wants)
        last = Client("last")
        await w.subscribe(last, "tagged:a")
        w.channels.take(live("tagged:a", b"1", headers_of(1)))
        await settle()
        assert last.data == [1]


async def test_who_recovers_is_given_what_its_filter_lets_through() -> None:
    async with world() as w:
        await publish(w, "ticks:a", *range(1, 8))
        client = Client("c")
        await w.subscribe(client, "ticks:a", Position("E1", 2), tags_filter=EVEN)
        assert client.reply.recovered
        assert offsets(client.reply.publications) == [4, 6]
        assert client.reply.position == Position("E1", 2)
        await publish(w, "ticks:a", 8, 9, 10)
        assert client.data == [8, 10]


async def test_who_missed_nothing_it_wants_is_told_the_top() -> None:
    never = TagsFilter(FilterNode(key="kind", cmp="eq", val="neither"))
    async with world() as w:
        await publish(w, "ticks:a", *range(1, 8))
        client = Client("c")
        await w.subscribe(client, "ticks:a", Position("E1", 2), tags_filter=never)
        assert (client.reply.recovered, client.reply.publications) == (True, [])
        assert client.reply.position == Position("E1", 7)


async def test_joins_are_pushed_whatever_the_filter_says() -> None:
    async with world() as w:
        client = Client("c")
        await w.subscribe(client, "tagged:a", tags_filter=EVEN, push_join_leave=True, member=Member(client="c"))
        w.route(announced("tagged:a", b'{"user":"u","client":"x"}', "join"))
        w.route(live("tagged:a", b"1", headers_of(1)))
        w.route(live("tagged:a", b"2", headers_of(2)))
        await w.deliver()
        assert [sorted(push) for push in client.pushes] == [["channel", "join"], ["channel", "pub"]]
        assert client.data == [2]


async def test_who_has_a_filter_leaves_and_comes_back_without_one() -> None:
    async with world() as w:
        client, other = Client("c"), Client("d")
        await w.subscribe(client, "tagged:a", tags_filter=EVEN)
        await w.subscribe(other, "tagged:a", tags_filter=EVEN)
        w.channels.unsubscribe("tagged:a", client)
        await publish(w, "tagged:a", 2)
        await w.subscribe(client, "tagged:a")
        await publish(w, "tagged:a", 3, 4)
        assert (client.data, other.data) == ([3, 4], [2, 4])
        w.channels.unsubscribe("tagged:a", other)
        w.channels.unsubscribe("tagged:a", client)
        await publish(w, "tagged:a", 6)
        assert (client.data, other.data) == ([3, 4], [2, 4])


async def test_a_publication_without_tags_passes_negations_alone() -> None:
    others = TagsFilter(FilterNode(key="kind", cmp="neq", val="even"))
    async with world() as w:
        client, even = Client("c"), Client("d")
        await w.subscribe(client, "tagged:a", tags_filter=others)
        await w.subscribe(even, "tagged:a", tags_filter=EVEN)
        w.route(live("tagged:a", b"1"))
        await w.deliver()
        assert (client.data, even.data) == ([1], [])


async def test_a_pattern_may_have_a_filter() -> None:
    async with world() as w:
        client = Client("c")
        await w.subscribe(client, "parcels:eu.*", tags_filter=EVEN)
        for number in (1, 2):
            w.route(live(f"parcels:eu.{number}", str(number).encode(), headers_of(number)))
        await w.deliver()
        assert client.data == [2]
