"""One path from a publication to sockets: packed once, in order, in slices."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warren_gateway.domain.encoding import Pushes
from warren_gateway.domain.fanout import Fanout, Line, Tally
from warren_gateway.domain.hub import Audience, Subscription
from warren_gateway.domain.json_encoding import JSON
from warren_gateway.domain.publications import Publication

from .bus_fakes import Client, Lines, ManualClock, Observer, Turns


class Rig:
    """A fan-out whose turns the test takes."""

    def __init__(self, **limits: int) -> None:
        self.turns, self.clock, self.observer = Turns(), ManualClock(), Observer()
        self.fanout = Fanout(self.turns.defer, self.clock.monotonic, self.observer, **limits)
        self.framing = Lines()

    def line(self, channel: str = "a:b") -> Line:
        return Line(channel, Tally())

    def join(self, line: Line, name: str, *, joins: bool = False, framing: Lines | None = None) -> Client:
        client = Client(name, framing or self.framing)
        self.rejoin(line, client, joins=joins)
        return client

    def rejoin(self, line: Line, client: Client, *, joins: bool = False) -> None:
        self.fanout.seal(line)
        line.audience.add(Subscription(client, joins=joins))

    def publish(self, line: Line, data: object, trace: object | None = None) -> bool:
        return self.fanout.publish(line, push(line, data), trace)


def push(line: Line, data: object) -> Pushes:
    return {JSON: JSON.head(line.channel).publication(Publication(orjson.dumps(data)))}


def test_a_burst_is_packed_once_for_each_framing_and_written_once_to_each_subscriber() -> None:
    rig, other = Rig(), Lines()
    line = rig.line()
    same = [rig.join(line, f"c{number}") for number in range(5)]
    different = rig.join(line, "d", framing=other)
    for number in range(50):
        assert rig.publish(line, number)
    assert all(not client.frames for client in same)
    rig.turns.turn()
    assert rig.framing.packed == other.packed == 1
    assert all(len(client.frames) == 1 and client.data == list(range(50)) for client in [*same, different])
    assert len({id(client.frames[0]) for client in same}) == 1, "everybody is written the very same object"
    assert (line.tally.publications, line.tally.deliveries) == (50, 300)
    assert not rig.turns.waiting


def test_nothing_is_gathered_on_a_channel_without_subscribers() -> None:
    rig = Rig()
    line = rig.line()
    assert rig.publish(line, 1)
    rig.fanout.announce(line, {JSON: b"{}"})
    assert not rig.turns.waiting
    assert line.tally.publications == 0


def test_a_turn_writes_to_so_many_recipients_and_goes_on_in_the_next() -> None:
    rig = Rig(slice_size=10)
    line = rig.line()
    clients = [rig.join(line, f"c{number}") for number in range(25)]
    rig.publish(line, 1)
    written = []
    while rig.turns.waiting:
        rig.turns.turn()
        written.append(sum(len(client.frames) for client in clients))
    assert written[:3] == [10, 20, 25]
    assert rig.framing.packed == 1


def test_a_large_channel_does_not_starve_a_small_one() -> None:
    rig = Rig(slice_size=10)
    large, small = rig.line("a:large"), rig.line("a:small")
    for number in range(100):
        rig.join(large, f"c{number}")
    client = rig.join(small, "s")
    rig.publish(large, 1)
    rig.publish(small, 2)
    rig.turns.turn()
    rig.turns.turn()
    assert client.data == [2]


def test_many_small_channels_share_one_turn_within_its_bound() -> None:
    rig = Rig(slice_size=10)
    lines = [rig.line(f"a:{number}") for number in range(25)]
    clients = [rig.join(line, f"c{number}") for number, line in enumerate(lines)]
    for line in lines:
        rig.publish(line, 1)
    rig.turns.turn()
    assert sum(len(client.frames) for client in clients) == 10
    rig.turns.run()
    assert sum(len(client.frames) for client in clients) == 25


def test_who_subscribes_after_a_publication_arrived_is_not_written_it() -> None:
    rig = Rig(slice_size=2)
    line = rig.line()
    early = [rig.join(line, f"c{number}") for number in range(5)]
    rig.publish(line, 1)
    between = rig.join(line, "between")
    rig.publish(line, 2)
    rig.turns.turn()
    mid_pass = rig.join(line, "mid pass")
    rig.publish(line, 3)
    rig.turns.run()
    assert all(client.data == [1, 2, 3] for client in early)
    assert between.data == [2, 3]
    assert mid_pass.data == [3]


def test_who_leaves_mid_pass_is_written_nothing_more_even_if_it_comes_back() -> None:
    rig = Rig(slice_size=1)
    line = rig.line()
    clients = [rig.join(line, f"c{number}") for number in range(3)]
    rig.publish(line, 1)
    rig.turns.turn()
    line.audience.remove(clients[2])
    rig.rejoin(line, clients[2])
    rig.publish(line, 2)
    line.audience.remove(clients[1])
    rig.turns.run()
    assert [client.data for client in clients] == [[1, 2], [], [2]]


def test_a_snapshot_of_recipients_is_kept_until_the_audience_changes() -> None:
    audience = Audience()
    first, second = Client("1"), Client("2")
    audience.add(Subscription(first))
    snapshot = audience.snapshot()
    assert audience.snapshot() is snapshot
    audience.add(Subscription(second))
    assert audience.snapshot() is not snapshot
    assert audience.remove(Client("3")) is None
    assert audience.size == 2
    audience.add(Subscription(second, joins=True))
    assert audience.size == 2, "a connection has one subscription"


def test_joins_and_leaves_go_to_those_who_want_them_in_order_with_publications() -> None:
    rig = Rig()
    line = rig.line()
    wants, wants_not = rig.join(line, "w", joins=True), rig.join(line, "n")
    rig.publish(line, 1)
    rig.fanout.announce(line, {JSON: JSON.head("a:b").join(b'{"user":"u","client":"x"}')})
    rig.publish(line, 2)
    rig.turns.run()
    assert [list(each)[1] for each in wants.pushes] == ["pub", "join", "pub"]
    assert wants_not.data == [1, 2]
    assert len(wants_not.pushes) == 2


def test_a_channel_where_only_joins_wait_writes_nothing_to_the_others() -> None:
    rig = Rig()
    line = rig.line()
    wants_not = rig.join(line, "n")
    rig.fanout.announce(line, {JSON: b"{}"})
    rig.turns.run()
    assert wants_not.frames == []


def test_what_is_packed_together_is_bounded() -> None:
    rig = Rig(batch_bytes=200)
    line = rig.line()
    client = rig.join(line, "c")
    for _ in range(10):
        rig.publish(line, "x" * 60)
    rig.turns.run()
    assert len(client.data) == 10
    assert len(client.frames) >= 5


def test_what_waits_on_a_channel_is_bounded_and_the_bound_is_free_again_after_writing() -> None:
    rig = Rig(pending_bytes=1000)
    line = rig.line()
    client = rig.join(line, "c")
    taken = [rig.publish(line, "x" * 90) for _ in range(20)]
    assert taken.count(False) == line.tally.overflows > 0
    assert taken == sorted(taken, reverse=True), "what came first is kept"
    rig.turns.run()
    assert len(client.data) == taken.count(True)
    assert rig.publish(line, "x" * 90)
    assert rig.publish(rig.line(), "y" * 2000)


def test_former_subscribers_are_told_in_slices_and_written_nothing_more() -> None:
    rig = Rig(slice_size=2)
    line = rig.line()
    clients = [rig.join(line, f"c{number}") for number in range(5)]
    rig.publish(line, 1)
    told: list[str] = []
    ended = line.audience.clear()
    rig.fanout.tell(line, ended, lambda subscription: told.append(subscription.subscriber.client))
    rig.turns.turn()
    assert len(told) <= 2
    rig.turns.run()
    assert told == [client.client for client in clients]
    assert all(not client.frames for client in clients)


def test_traced_publications_are_observed_once_however_many_slices_a_pass_takes() -> None:
    rig = Rig(slice_size=1)
    line = rig.line()
    for number in range(3):
        rig.join(line, f"c{number}")
    rig.publish(line, 1, trace="t1")
    rig.publish(line, 2)
    rig.publish(line, 3, trace="t3")
    rig.turns.run()
    assert rig.observer.traced == [("a:b", ["t1", "t3"], 3)]


def test_a_pass_reports_how_long_after_the_first_publication_it_ended() -> None:
    rig = Rig(slice_size=1)
    line = rig.line()
    rig.join(line, "1")
    rig.join(line, "2")
    rig.publish(line, 1)
    while rig.turns.waiting:
        rig.clock.time += 1
        rig.turns.turn()
    assert rig.observer.passes == [pytest.approx(3.0)]


class BrokenClient(Client):
    def write(self, packed: bytes) -> None:
        raise RuntimeError(packed)


def test_a_subscriber_that_raises_against_its_contract_costs_no_other_one_its_publications() -> None:
    rig = Rig()
    line = rig.line()
    before = rig.join(line, "before")
    rig.rejoin(line, BrokenClient("broken", rig.framing))
    after = rig.join(line, "after")
    rig.publish(line, 1)
    with pytest.raises(RuntimeError):
        rig.turns.turn()
    rig.turns.run()
    assert before.data == after.data == [1]
    rig.publish(line, 2)
    with pytest.raises(RuntimeError):
        rig.turns.turn()
    rig.turns.run()
    assert before.data == after.data == [1, 2]


ACTIONS = st.lists(
    st.tuples(st.sampled_from(["publish", "join", "leave", "turn"]), st.integers(0, 1), st.integers(0, 3)), max_size=60
)


@settings(max_examples=200, deadline=None)
@given(ACTIONS, st.integers(1, 4), st.sampled_from([50, 10_000]))
def test_everyone_is_written_what_was_published_while_it_was_subscribed(
    actions: list[tuple[str, int, int]], slice_size: int, batch_bytes: int
) -> None:
    """All of it, once and in order; but from what was published before it left, it may miss an end."""
    rig = Rig(slice_size=slice_size, batch_bytes=batch_bytes)
    lines = [rig.line("a:0"), rig.line("a:1")]
    present: dict[tuple[int, int], tuple[Client, list[Any]]] = {}
    gone: list[tuple[Client, list[Any]]] = []
    for number, (action, which, who) in enumerate(actions):
        line, key = lines[which], (which, who)
        if action == "publish":
            rig.publish(line, number)
            for (of, _), (_, expected) in present.items():
                if of == which:
                    expected.append(number)
        elif action == "join" and key not in present:
            present[key] = (rig.join(line, f"c{who}"), [])
        elif action == "leave" and key in present:
            line.audience.remove(present[key][0])
            gone.append(present.pop(key))
        elif action == "turn":
            rig.turns.turn()
    rig.turns.run()
    assert all(client.data == expected for client, expected in present.values())
    assert all(client.data == expected[: len(client.data)] for client, expected in gone)
    assert all(line.pending == 0 and not line.passes for line in lines)


def test_a_turn_writes_so_much_to_one_recipient_that_its_socket_can_be_sent_to_in_between() -> None:
    rig = Rig(batch_bytes=200, turn_bytes=500)
    lines = [rig.line("a:0"), rig.line("a:1")]
    client = Client("c", rig.framing)
    for line in lines:
        rig.rejoin(line, client)
        for number in range(20):
            rig.publish(line, f"{number}" + "x" * 100)
    rig.publish(lines[0], "y" * 2000)
    written = []
    while rig.turns.waiting:
        before = sum(map(len, client.frames))
        rig.turns.turn()
        written.append(sum(map(len, client.frames)) - before)
    assert len(client.data) == 41
    assert sorted(written)[-2] <= 500 < max(written), "only what is larger by itself is written at once"
