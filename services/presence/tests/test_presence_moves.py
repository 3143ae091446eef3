"""Channels that are another partition's from one moment to the next, as after a restart of the broker."""

from __future__ import annotations

import pytest

from .presence_driver import Driver, Reports


@pytest.fixture
def gateway() -> Reports:
    return Reports("g1")


class Move:
    """``room``, with a member, was the old partition's and is the new one's; ``hall`` stays the new one's."""

    def __init__(self, gateway: Reports) -> None:
        self.gateway = gateway
        self.old, self.new = Driver(), Driver()
        for partition in self.both:
            partition.settled(gateway)
        self.old.feed(gateway.joined("c1"))
        self.new.feed(gateway.joined("d1", "hall"))
        assert self.pushes() == [("join", "room", "c1"), ("join", "hall", "d1")]

    @property
    def both(self) -> tuple[Driver, Driver]:
        return self.old, self.new

    def pushes(self) -> list[tuple[str, str, str]]:
        return [push for partition in self.both for push in partition.pushes()]

    def restart_broker(self) -> tuple[str, str]:
        """Have both partitions consumed anew; return the ids under which each has asked."""
        for partition in self.both:
            partition.probes.clear()
            partition.effects += partition.partition.reconnected(partition.now)
        ((_, old),), ((_, new),) = self.old.asked(), self.new.asked()
        return old, new

    def answer(self, old: str, new: str, *in_room: str) -> None:
        self.old.feed(self.gateway.synced(old))
        if in_room:
            self.new.feed(self.gateway.holds(*in_room, sync=new))
        self.new.feed(self.gateway.holds("d1", sync=new, channel="hall"), self.gateway.synced(new))
        for partition in self.both:
            partition.pass_time(1, beating=[self.gateway])


@pytest.fixture
def move(gateway: Reports) -> Move:
    return Move(gateway)


def test_nobody_who_stayed_is_announced_and_the_new_partition_knows_them(move: Move) -> None:
    move.answer(*move.restart_broker(), "c1")

    assert move.pushes() == []
    assert (move.old.members(), move.new.members()) == ([], ["c1"])
    assert move.new.members("hall") == ["d1"]


def test_a_gateway_that_reports_all_before_it_is_asked_has_nobody_announced(move: Move) -> None:
    """It does so whenever its own connection was lost."""
    asked = move.restart_broker()

    move.new.feed(move.gateway.holds("c1", sync="its own"))
    move.answer(*asked, "c1")

    assert move.pushes() == []


def test_who_left_meanwhile_is_announced_by_the_new_partition_alone(move: Move) -> None:
    asked = move.restart_broker()

    move.new.feed(move.gateway.left("c1"))
    move.answer(*asked)

    assert move.pushes() == [("leave", "room", "c1")]
    assert (move.old.members(), move.new.members()) == ([], [])


def test_who_joined_meanwhile_is_announced_by_the_new_partition_alone(move: Move) -> None:
    asked = move.restart_broker()

    move.new.feed(move.gateway.joined("c2"))
    move.answer(*asked, "c1", "c2")

    assert move.pushes() == [("join", "room", "c2")]
    assert move.new.members() == ["c1", "c2"]


def test_a_second_restart_before_the_answers_has_nobody_announced_either(move: Move) -> None:
    move.restart_broker()
    move.answer(*move.restart_broker(), "c1")

    assert move.pushes() == []


def test_joins_and_leaves_after_the_answers_are_announced_as_ever(move: Move) -> None:
    move.answer(*move.restart_broker(), "c1")

    move.new.feed(move.gateway.joined("c2"), move.gateway.left("c1"))
    move.new.feed(move.gateway.holds("c3", sync="its own"))

    assert move.pushes() == [
        ("join", "room", "c2"),
        ("leave", "room", "c1"),
        ("leave", "room", "c2"),
        ("join", "room", "c3"),
    ]


def test_the_members_of_a_gateway_that_does_not_come_back_are_announced_as_gone_once(move: Move) -> None:
    move.restart_broker()

    for partition in move.both:
        partition.pass_time(11)

    assert move.pushes() == [("leave", "room", "c1"), ("leave", "hall", "d1")]


def test_whose_leave_was_announced_when_its_gateway_fell_silent_is_announced_when_it_returns(move: Move) -> None:
    """Although the broker restarts before the gateway has told who is there."""
    for partition in move.both:
        partition.pass_time(11)
        partition.feed(move.gateway.beat())
        partition.asked()
    move.pushes()

    move.answer(*move.restart_broker(), "c1")

    assert move.pushes() == [("join", "room", "c1"), ("join", "hall", "d1")]


def test_a_leave_that_was_announced_is_not_the_last_word_on_who_is_there(move: Move) -> None:
    """The join that followed it was lost with the broker's queue."""
    move.new.feed(move.gateway.left("d1", "hall"))
    assert move.pushes() == [("leave", "hall", "d1")]

    move.answer(*move.restart_broker(), "c1")

    assert move.pushes() == [("join", "hall", "d1")]


def test_a_leave_that_is_reported_again_after_the_restart_is_announced_once(move: Move) -> None:
    """Its gateway saw no confirmation."""
    move.new.feed(move.gateway.left("d1", "hall"))
    asked = move.restart_broker()
    for partition in move.both:
        partition.pass_time(2, beating=[move.gateway])

    move.new.feed(move.gateway.left("d1", "hall"), move.gateway.holds("c1", sync=asked[1]))

    assert move.pushes() == [("leave", "hall", "d1")]
