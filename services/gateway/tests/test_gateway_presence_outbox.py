"""What presence is told: in order, bounded, and again after a loss."""

from __future__ import annotations

from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from warren_gateway.domain.presence_outbox import Change, PresenceOutbox, Report, SyncEnd, WholeRoom
from warren_gateway.domain.presence_table import PresenceTable
from warren_shared.contracts.presence import Member

BATCH: Final = 1000


class Rig:
    """A table, its outbox, and the index that presence would keep."""

    def __init__(self, changes: int = 100, syncs: int = 10) -> None:
        self.table = PresenceTable()
        self.outbox = PresenceOutbox(self.table, changes=changes, syncs=syncs, prefix="run")
        self.index: dict[str, set[str]] = {}
        self.ended: list[str] = []

    def join(self, channel: str, client: str) -> None:
        member = Member(client=client)
        self.table.join(channel, member, announce=False)
        self.outbox.change(Change(channel, member, announce=False, joined=True))

    def leave(self, channel: str, client: str) -> None:
        member = self.table.leave(channel, client)
        if member is not None:
            self.outbox.change(Change(channel, member, announce=False, joined=False))

    def receive(self, reports: list[Report]) -> None:
        for report in reports:
            if isinstance(report, SyncEnd):
                self.ended.append(report.sync)
            elif isinstance(report, WholeRoom):
                self.index[report.room.channel] = {member.client for member in report.room.members}
            elif report.joined:
                self.index.setdefault(report.channel, set()).add(report.member.client)
            else:
                self.index.setdefault(report.channel, set()).discard(report.member.client)

    def check_reported(self) -> None:
        """What is said to be reported must be what presence has."""
        for channel in "abc":
            if self.outbox.reported(channel, self.outbox.mark(channel)):
                assert self.indexed.get(channel) == self.truth.get(channel)

    @property
    def indexed(self) -> dict[str, set[str]]:
        return {channel: clients for channel, clients in self.index.items() if clients}

    @property
    def truth(self) -> dict[str, set[str]]:
        return {room.channel: {member.client for member in room.members} for room in self.table.rooms()}


def test_changes_are_reported_in_order() -> None:
    rig = Rig()
    rig.join("a", "1")
    rig.leave("a", "1")
    rig.join("b", "2")
    taken = rig.outbox.take(BATCH)
    assert [(each.channel, each.joined) for each in taken if isinstance(each, Change)] == [
        ("a", True),
        ("a", False),
        ("b", True),
    ]
    assert not rig.outbox


def test_a_leave_of_somebody_unknown_is_not_reported() -> None:
    rig = Rig()
    rig.leave("a", "1")
    assert not rig.outbox


def test_a_request_is_answered_by_every_room_as_it_was_then_and_an_end() -> None:
    rig = Rig()
    rig.join("a", "1")
    rig.join("b", "2")
    rig.outbox.answer("s")
    rig.join("a", "3")
    taken = rig.outbox.take(BATCH)
    shape = [
        (each.room.channel, len(each.room.members)) if isinstance(each, WholeRoom) else type(each) for each in taken
    ]
    assert shape == [Change, Change, ("a", 1), ("b", 1), SyncEnd, Change]


def test_a_request_to_an_empty_gateway_is_answered_by_the_end_alone() -> None:
    rig = Rig()
    rig.outbox.answer("s")
    assert rig.outbox.take(BATCH) == [SyncEnd("s")]


def test_a_request_that_waits_already_is_not_answered_twice() -> None:
    rig = Rig()
    rig.outbox.answer("s")
    rig.outbox.answer("s")
    assert rig.outbox.take(BATCH) == [SyncEnd("s")]


def test_of_too_many_requests_the_oldest_is_dropped() -> None:
    rig = Rig(syncs=2)
    for name in "xyz":
        rig.outbox.answer(name)
    assert rig.outbox.take(BATCH) == [SyncEnd("y"), SyncEnd("z")]


def test_a_request_that_is_answered_anew_stays_as_old_as_it_is() -> None:
    rig = Rig(syncs=2)
    rig.join("a", "1")
    rig.outbox.confirmed(rig.outbox.take(BATCH))
    rig.outbox.answer("x")
    rig.outbox.answer("y")
    rig.outbox.lost(rig.outbox.take(1))  # a room for x
    rig.outbox.answer("z")
    assert [each.sync for each in rig.outbox.take(BATCH) if isinstance(each, SyncEnd)] == ["y", "z"]


def test_a_request_that_waits_already_pushes_no_other_out() -> None:
    rig = Rig(syncs=2)
    for name in "xyy":
        rig.outbox.answer(name)
    assert rig.outbox.take(BATCH) == [SyncEnd("x"), SyncEnd("y")]


def test_a_channel_whose_changes_found_no_room_is_reported_whole_also_if_it_is_empty_by_then() -> None:
    rig = Rig(changes=2)
    rig.join("a", "1")
    rig.join("b", "2")
    rig.join("c", "3")
    rig.leave("a", "1")
    while taken := rig.outbox.take(1):
        rig.receive(taken)
    assert rig.index == {"a": set(), "b": {"2"}, "c": {"3"}}


def test_a_lost_batch_is_repeated_and_an_answer_in_it_begins_anew() -> None:
    rig = Rig()
    rig.join("a", "1")
    rig.outbox.answer("s")
    rig.outbox.lost(rig.outbox.take(2))
    assert [type(each) for each in rig.outbox.take(BATCH)] == [Change, WholeRoom, SyncEnd]
    assert not rig.outbox


def test_a_leave_that_was_lost_is_repeated_although_the_room_is_empty_and_before_what_happened_since() -> None:
    rig = Rig()
    rig.join("a", "1")
    rig.outbox.confirmed(rig.outbox.take(BATCH))
    rig.leave("a", "1")
    rig.outbox.lost(rig.outbox.take(BATCH))
    rig.join("a", "2")
    taken = rig.outbox.take(BATCH)
    assert [(each.member.client, each.joined) for each in taken if isinstance(each, Change)] == [
        ("1", False),
        ("2", True),
    ]


def test_of_changes_that_were_lost_only_the_last_of_each_client_is_repeated() -> None:
    rig = Rig()
    rig.join("b", "2")
    rig.join("a", "1")
    rig.leave("a", "1")
    mark = rig.outbox.mark("b")
    rig.outbox.lost(rig.outbox.take(BATCH))
    assert not rig.outbox.reported("b", mark)
    taken = rig.outbox.take(BATCH)
    assert [(each.channel, each.joined) for each in taken if isinstance(each, Change)] == [("b", True), ("a", False)]


def test_a_room_that_was_lost_is_reported_whole_again() -> None:
    rig = Rig()
    rig.join("a", "1")
    rig.outbox.confirmed(rig.outbox.take(BATCH))
    rig.outbox.report_all()
    rig.outbox.lost(rig.outbox.take(BATCH))
    assert [each.room.channel for each in rig.outbox.take(BATCH) if isinstance(each, WholeRoom)] == ["a"]


def test_everything_is_reported_of_our_own_accord_without_an_end() -> None:
    rig = Rig()
    rig.join("a", "1")
    rig.outbox.take(BATCH)
    rig.outbox.report_all()
    assert [each.sync for each in rig.outbox.take(BATCH) if isinstance(each, WholeRoom)] == ["run.1"]
    assert not rig.outbox


def test_a_channels_changes_are_reported_once_those_until_then_are_confirmed() -> None:
    rig = Rig()
    assert rig.outbox.reported("a", rig.outbox.mark("a"))
    rig.join("a", "1")
    mark = rig.outbox.mark("a")
    rig.join("a", "2")
    assert rig.outbox.reported("b", rig.outbox.mark("b"))
    taken = rig.outbox.take(1)
    assert not rig.outbox.reported("a", mark)
    rig.outbox.confirmed(taken)
    assert rig.outbox.reported("a", mark)
    assert not rig.outbox.reported("a", rig.outbox.mark("a"))


def test_a_change_that_was_lost_is_reported_when_repeated_and_one_that_found_no_room_with_its_whole_room() -> None:
    rig = Rig(changes=1)
    rig.join("a", "1")
    rig.join("b", "2")
    marks = {channel: rig.outbox.mark(channel) for channel in "ab"}
    rig.outbox.lost(rig.outbox.take(BATCH))
    assert not any(rig.outbox.reported(channel, mark) for channel, mark in marks.items())
    rig.outbox.confirmed(rig.outbox.take(1))
    assert [rig.outbox.reported(channel, mark) for channel, mark in marks.items()] == [True, False]
    rig.outbox.confirmed(rig.outbox.take(1))
    assert rig.outbox.reported("b", marks["b"])


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["join", "leave", "take", "lose", "answer", "all"]),
        st.sampled_from("abc"),
        st.sampled_from("123"),
        st.integers(1, 4),
        st.integers(0, 4),
    ),
    max_size=60,
)


@settings(max_examples=300, deadline=None)
@given(STEPS, st.integers(1, 6))
def test_the_index_becomes_the_truth_whatever_was_lost(steps: list[tuple[str, str, str, int, int]], room: int) -> None:
    rig = Rig(changes=room)
    asked = []
    for number, (step, channel, client, count, arrived) in enumerate(steps):
        match step:
            case "join":
                rig.join(channel, client)
            case "leave":
                rig.leave(channel, client)
            case "take":
                taken = rig.outbox.take(count)
                rig.receive(taken)
                rig.outbox.confirmed(taken)
            case "lose":
                taken = rig.outbox.take(count)
                rig.receive(taken[:arrived])
                rig.outbox.lost(taken)
            case "answer":
                rig.outbox.answer(f"s{number}")
                asked.append(f"s{number}")
            case "all":
                rig.outbox.report_all()
        rig.check_reported()
    while rig.outbox:
        taken = rig.outbox.take(3)
        rig.receive(taken)
        rig.outbox.confirmed(taken)
    assert all(rig.outbox.reported(each, rig.outbox.mark(each)) for each in "abc")
    assert rig.indexed == rig.truth
    assert set(rig.ended) >= set(asked[-10:])
    assert rig.table.size == sum(map(len, rig.truth.values()))
