"""The position of a followed channel: order, duplicates, gaps."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from warren_gateway.domain.publications import Publication
from warren_gateway.domain.stream import Ask, Filling, HoldLimit, Stream, Verdict
from warren_shared.contracts.publication import Position

WIDE = HoldLimit()


def pub(offset: int, size: int = 1) -> Publication:
    return Publication(b"x" * size, offset)


def at(offset: int, limit: HoldLimit = WIDE) -> Stream:
    stream = Stream(limit)
    stream.begin("E", offset)
    return stream


def test_the_next_publication_is_delivered_and_moves_the_position() -> None:
    stream = at(4)
    assert stream.offer("E", pub(5)) is Verdict.DELIVER
    assert stream.position == Position("E", 5)


def test_what_was_here_before_is_dropped() -> None:
    stream = at(4)
    assert stream.offer("E", pub(4)) is Verdict.DROP
    assert stream.offer("E", pub(1)) is Verdict.DROP
    assert stream.position == Position("E", 4)


def test_what_comes_after_a_gap_is_held_until_the_gap_is_filled() -> None:
    stream = at(4)
    assert stream.offer("E", pub(7)) is Verdict.HOLD
    assert stream.offer("E", pub(8)) is Verdict.HOLD
    assert stream.gapped
    filled = stream.fill(stream.ask(), "E", 8, [pub(5), pub(6), pub(7), pub(8)])
    assert (filled.state, [each.offset for each in filled.deliver]) == (Filling.WHOLE, [5, 6, 7, 8])
    assert not stream.gapped


def test_a_gap_that_closes_by_itself_releases_what_was_held() -> None:
    stream = at(4)
    stream.offer("E", pub(6))
    assert stream.offer("E", pub(5)) is Verdict.DELIVER
    assert [each.offset for each in stream.release()] == [6]
    assert stream.position.offset == 6


def test_another_epoch_ends_the_stream() -> None:
    assert at(4).offer("F", pub(5)) is Verdict.LOST


def test_more_than_may_be_held_ends_the_stream() -> None:
    stream = at(0, HoldLimit(publications=2))
    assert [stream.offer("E", pub(offset)) for offset in (2, 3, 3, 4)] == [
        Verdict.HOLD,
        Verdict.HOLD,
        Verdict.HOLD,
        Verdict.LOST,
    ]
    stream = at(0, HoldLimit(bytes=10))
    assert stream.offer("E", pub(2, size=10)) is Verdict.HOLD
    assert stream.offer("E", pub(3, size=1)) is Verdict.LOST


def test_a_read_of_another_epoch_or_an_earlier_end_cannot_fill() -> None:
    stream = at(4)
    assert stream.fill(Ask(4, 4), "F", 9, []).state is Filling.LOST
    assert at(4).fill(Ask(4, 4), "E", 3, []).state is Filling.LOST
    stream = at(4)
    stream.offer("E", pub(7))
    assert stream.fill(stream.ask(), "E", 6, [pub(5), pub(6)]).state is Filling.LOST


def test_a_read_that_begins_too_late_cannot_fill() -> None:
    assert at(4).fill(Ask(4, 4), "E", 7, [pub(6), pub(7)]).state is Filling.LOST
    assert at(4).fill(Ask(4, 4), "E", 7, []).state is Filling.LOST


def test_a_read_that_ends_early_fills_a_part() -> None:
    stream = at(4)
    filled = stream.fill(stream.ask(), "E", 9, [pub(5), pub(6)])
    assert (filled.state, stream.position.offset) == (Filling.MORE, 6)


def test_a_read_that_was_overtaken_by_deliveries_changes_nothing() -> None:
    stream = at(4)
    ask = stream.ask()
    stream.offer("E", pub(5))
    stream.offer("E", pub(6))
    filled = stream.fill(ask, "E", 5, [pub(5)])
    assert (filled.state, list(filled.deliver), stream.position.offset) == (Filling.WHOLE, [], 6)


def test_what_was_held_after_the_read_was_sent_needs_another_read() -> None:
    stream = at(4)
    ask = stream.ask()
    stream.offer("E", pub(8))
    assert stream.fill(ask, "E", 6, [pub(5), pub(6)]).state is Filling.MORE
    assert stream.ask() == Ask(6, 8)


def test_before_there_is_a_position_arrivals_are_held_and_merged_into_it() -> None:
    stream = Stream(WIDE)
    assert [stream.offer("E", pub(offset)) for offset in (3, 4, 5)] == [Verdict.HOLD] * 3
    assert [each.offset for each in stream.begin("E", 3)] == [4, 5]
    assert stream.position == Position("E", 5)
    assert not stream.doubtful


def test_arrivals_of_another_epoch_than_the_position_leave_a_doubt() -> None:
    stream = Stream(WIDE)
    stream.offer("F", pub(1))
    assert list(stream.begin("E", 3)) == []
    assert stream.doubtful
    stream.ask()
    assert not stream.doubtful


def test_too_many_early_arrivals_leave_a_doubt() -> None:
    stream = Stream(HoldLimit(publications=1))
    assert stream.offer("E", pub(1)) is Verdict.HOLD
    assert stream.offer("E", pub(2)) is Verdict.HOLD
    stream.begin("E", 1)
    assert stream.doubtful


def test_forgetting_loses_position_and_held() -> None:
    stream = at(4)
    stream.offer("E", pub(9))
    stream.forget()
    assert not stream.positioned
    assert not stream.gapped


class StreamMachine(RuleBasedStateMachine):
    """Random losses, repetitions and reorderings, against: every offset from the start on, once, in order."""

    @initialize(begun=st.integers(0, 3))
    def begin(self, begun: int) -> None:
        self.top = begun
        self.trimmed = 0
        self.flying: list[int] = []
        self.ask: Ask | None = None
        self.page: tuple[int, list[int]] | None = None
        self.lost = False
        self.stream = at(begun)
        self.delivered = [begun]

    @rule(count=st.integers(1, 4))
    def publish(self, count: int) -> None:
        self.flying.extend(range(self.top + 1, self.top + count + 1))
        self.top += count

    @precondition(lambda self: self.flying and not self.lost)
    @rule(index=st.integers(0, 5), keep=st.booleans())
    def deliver(self, index: int, keep: bool) -> None:
        """Out of order if ``index`` says so, again later if it is kept."""
        index = min(index, len(self.flying) - 1)
        offset = self.flying[index] if keep else self.flying.pop(index)
        verdict = self.stream.offer("E", pub(offset))
        if verdict is Verdict.DELIVER:
            self.delivered.append(offset)
            self.delivered.extend(each.offset for each in self.stream.release())
        self.lost = verdict is Verdict.LOST

    @precondition(lambda self: self.flying)
    @rule()
    def lose(self) -> None:
        self.flying.pop(0)

    @rule(keep=st.integers(0, 5))
    def trim(self, keep: int) -> None:
        self.trimmed = max(self.trimmed, self.top - keep)

    @precondition(lambda self: self.ask is None and not self.lost)
    @rule()
    def send_read(self) -> None:
        self.ask = self.stream.ask()
        self.page = None

    @precondition(lambda self: self.ask is not None and self.page is None)
    @rule(limit=st.integers(1, 6))
    def serve_read(self, limit: int) -> None:
        assert self.ask is not None
        first = max(self.ask.offset, self.trimmed) + 1
        self.page = (self.top, list(range(first, self.top + 1))[:limit])

    @precondition(lambda self: self.page is not None and not self.lost)
    @rule()
    def take_read(self) -> None:
        assert self.ask is not None
        assert self.page is not None
        top, found = self.page
        filled = self.stream.fill(self.ask, "E", top, [pub(offset) for offset in found])
        if filled.state is Filling.LOST:
            # It is given up only if something is really gone.
            assert self.trimmed > self.ask.offset
            self.lost = True
        else:
            self.delivered.extend(each.offset for each in filled.deliver)
            if filled.state is Filling.WHOLE:
                assert self.delivered[-1] >= top
        self.ask = self.page = None

    @invariant()
    def nothing_is_missing_or_repeated_or_out_of_order(self) -> None:
        first, last = self.delivered[0], self.delivered[-1]
        assert self.delivered == list(range(first, last + 1))

    @precondition(lambda self: not self.lost)
    @invariant()
    def the_position_is_what_was_delivered(self) -> None:
        assert self.stream.position.offset == self.delivered[-1]


TestStreamMachine = StreamMachine.TestCase
TestStreamMachine.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
