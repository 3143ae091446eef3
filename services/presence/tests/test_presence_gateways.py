"""Gateways that crash, fall silent, come back, stop and start anew."""

from __future__ import annotations

import pytest

from warren_presence.domain.roster import REMEMBERED

from .presence_driver import Driver, Reports


@pytest.fixture
def gateway() -> Reports:
    return Reports("g1")


@pytest.fixture
def driver(gateway: Reports) -> Driver:
    """A partition that knows one gateway with one member."""
    driver = Driver()
    driver.settled(gateway)
    driver.feed(gateway.joined("c1"), gateway.joined("c2", announce=False))
    driver.pushes()
    return driver


def test_a_gateway_that_crashes_right_after_a_beat_is_gone_within_ten_seconds(driver: Driver, gateway: Reports) -> None:
    driver.feed(gateway.beat())

    driver.pass_time(8.75)
    assert driver.members() == ["c1", "c2"]
    driver.pass_time(1.25)

    assert driver.members() == []
    assert driver.pushes() == [("leave", "room", "c1")]
    assert "gateway_expired" in driver.notes()


def test_a_gateway_that_beats_every_three_seconds_and_misses_one_beat_stays(driver: Driver, gateway: Reports) -> None:
    for _ in range(5):
        driver.pass_time(6)
        driver.feed(gateway.beat())

    assert driver.members() == ["c1", "c2"]
    assert driver.pushes() == []


def test_any_report_shows_that_a_gateway_lives(driver: Driver, gateway: Reports) -> None:
    driver.pass_time(8)
    driver.feed(gateway.joined("c3"))
    driver.pass_time(8)

    assert driver.members() == ["c1", "c2", "c3"]


def test_only_the_silent_gateway_goes(driver: Driver) -> None:
    other = Reports("g2")
    driver.feed(other.beat(), other.joined("d1"))

    driver.pass_time(12, beating=[other])

    assert driver.members() == ["d1"]


def test_a_gateway_that_stops_in_good_order_goes_at_once(driver: Driver, gateway: Reports) -> None:
    driver.feed(gateway.stopped())

    assert driver.members() == []
    assert driver.pushes() == [("leave", "room", "c1")]
    assert "gateway_expired" not in driver.notes()


def test_what_a_gateway_said_before_it_stopped_is_void_after_it(driver: Driver, gateway: Reports) -> None:
    driver.feed(gateway.stopped())
    driver.pushes()

    driver.feed(gateway.joined("c3"), gateway.beat(), gateway.stopped())

    assert driver.members() == []
    assert driver.pushes() == []
    assert driver.partition.void == 3


def test_a_new_run_ends_the_one_before_at_once(driver: Driver) -> None:
    driver.feed(Reports("g1", run=2).joined("c9"))

    assert driver.members() == ["c9"]
    assert driver.pushes() == [("leave", "room", "c1"), ("join", "room", "c9")]


def test_a_new_run_that_stops_before_it_says_anything_ends_the_one_before(driver: Driver) -> None:
    driver.feed(Reports("g1", run=2).stopped())

    assert driver.members() == []
    assert driver.pushes() == [("leave", "room", "c1")]


def test_reports_of_an_older_run_are_void(driver: Driver) -> None:
    old = Reports("g1", run=0)

    driver.feed(old.joined("c9"), old.left("c1"), old.holds(sync="s"), old.synced("s"), old.beat(), old.stopped())

    assert driver.members() == ["c1", "c2"]
    assert driver.pushes() == []
    assert driver.partition.void == 6


def test_an_older_run_does_not_keep_the_newer_alive(driver: Driver) -> None:
    driver.pass_time(10, beating=[Reports("g1", run=0)])

    assert driver.members() != ["c1", "c2"]


def test_a_run_that_looks_older_is_believed_when_the_newer_is_gone(driver: Driver) -> None:
    """The machine's clock may have been set back between the runs."""
    restarted = Reports("g1", run=0)
    driver.pass_time(12, beating=[restarted])

    driver.feed(restarted.joined("c9"))

    assert driver.members() == ["c9"]


def test_gateways_that_are_gone_are_forgotten_in_time(driver: Driver, gateway: Reports) -> None:
    for number in range(20):
        driver.feed(Reports(f"autoscaled{number}").stopped())
    assert len(driver.partition._roster._incarnations) == 21

    driver.pass_time(REMEMBERED + 1, beating=[gateway])

    assert len(driver.partition._roster._incarnations) == 1


def test_two_runs_that_began_at_one_moment_do_not_take_turns(driver: Driver) -> None:
    first, second = Reports("g3", run=1), Reports("g3", run=1)
    second._sender["incarnation"] = "g3-z"
    driver.feed(first.joined("x"), second.joined("y"), first.joined("z"), second.beat())

    assert driver.members() == ["c1", "c2", "y"]


def test_an_unknown_gateway_is_asked_for_a_snapshot(driver: Driver) -> None:
    newcomer = Reports("g2")
    driver.feed(newcomer.beat(), newcomer.beat())
    ((gateway, sync),) = driver.asked()
    assert gateway == "g2"

    driver.feed(newcomer.holds("d1", sync=sync), newcomer.synced(sync))

    assert driver.members() == ["c1", "c2", "d1"]
    assert driver.pushes() == [("join", "room", "d1")]
    driver.pass_time(5, beating=[newcomer])
    assert driver.asked() == []


def test_a_gateway_that_does_not_answer_is_asked_again(driver: Driver) -> None:
    newcomer = Reports("g2")
    driver.feed(newcomer.beat())
    ((_, first),) = driver.asked()

    driver.pass_time(1, beating=[newcomer])
    assert driver.asked() == []
    driver.pass_time(2, beating=[newcomer])

    ((gateway, second),) = driver.asked()
    assert gateway == "g2"
    assert second != first


def test_a_gateway_that_is_still_answering_is_not_asked_again(driver: Driver) -> None:
    newcomer = Reports("g2")
    driver.feed(newcomer.beat())
    ((_, sync),) = driver.asked()

    for number in range(10):
        driver.pass_time(1, beating=[newcomer])
        driver.feed(newcomer.holds("d1", sync=sync, channel=f"room{number}"))

    assert driver.asked() == []


def test_a_late_answer_to_the_first_of_two_requests_counts(driver: Driver) -> None:
    newcomer = Reports("g2")
    driver.feed(newcomer.beat())
    ((_, first),) = driver.asked()
    driver.pass_time(3, beating=[newcomer])
    assert len(driver.asked()) == 1

    driver.feed(newcomer.synced(first))
    driver.pass_time(5, beating=[newcomer])

    assert driver.asked() == []


def test_a_gateway_that_returns_is_asked_and_its_members_are_announced_again(driver: Driver, gateway: Reports) -> None:
    driver.pass_time(12)
    assert driver.pushes() == [("leave", "room", "c1")]

    driver.feed(gateway.beat())
    ((asked, sync),) = driver.asked()
    driver.feed(gateway.holds("c1", sync=sync), gateway.synced(sync))

    assert asked == "g1"
    assert driver.members() == ["c1"]
    assert driver.pushes() == [("join", "room", "c1")]


def test_a_leave_after_the_return_of_its_gateway_is_not_announced_again(driver: Driver, gateway: Reports) -> None:
    driver.pass_time(12)
    driver.pushes()

    driver.feed(gateway.left("c1"))

    assert driver.pushes() == []


def test_whom_the_answer_does_not_name_is_gone_without_a_word(driver: Driver, gateway: Reports) -> None:
    """Its leave was lost, or its channel is another partition's now: nobody can tell."""
    driver.feed(gateway.joined("c3", "hall"))
    driver.pushes()
    lose_a_probe(driver)
    ((asked, sync),) = driver.asked()
    assert asked is None

    driver.feed(gateway.joined("c4", "attic"), gateway.holds("c1", sync=sync), gateway.synced(sync))

    assert "partition_resumed" in driver.notes()
    driver.pass_time(1, beating=[gateway])
    assert [driver.members(channel) for channel in ("room", "hall", "attic")] == [["c1"], [], ["c4"]]
    assert driver.pushes() == [("join", "attic", "c4")]


def test_the_end_of_an_answer_to_somebody_else_says_nothing_of_channels_it_left_out(
    driver: Driver, gateway: Reports
) -> None:
    driver.feed(gateway.holds("c1", sync="another process's"), gateway.synced("another process's"))
    driver.feed(gateway.joined("c3", "hall"), gateway.synced("another's"))

    assert (driver.members("room"), driver.members("hall")) == (["c1"], ["c3"])


def lose_a_probe(driver: Driver) -> None:
    driver.pass_time(0.5)
    driver.tick()
    driver.now += 0.5
    driver.tick()
    driver.probes.clear()
    driver.pass_time(0.75)
