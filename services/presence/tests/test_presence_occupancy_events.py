"""Which channels are occupied or vacated, and when that is told."""

from __future__ import annotations

import pytest

from .presence_driver import Driver, Reports


@pytest.fixture
def gateway() -> Reports:
    return Reports("g1")


@pytest.fixture
def settled(gateway: Reports) -> Driver:
    driver = Driver()
    driver.settled(gateway, Reports("g2"))
    return driver


def test_the_first_occupant_and_the_end_of_the_last_are_told_whatever_gateways_they_are_at(
    settled: Driver, gateway: Reports
) -> None:
    other = Reports("g2")
    settled.feed(gateway.joined("c1"), other.joined("c2"), gateway.joined("c3", "hall"), gateway.left("c1"))
    assert settled.turns() == [("room", True), ("hall", True)]
    settled.feed(other.left("c2"))
    assert settled.turns() == [("room", False)]


def test_somebody_reported_twice_turns_nothing(settled: Driver, gateway: Reports) -> None:
    settled.feed(gateway.joined("c1"), gateway.joined("c1"), gateway.left("c9"), gateway.left("c1"), gateway.left("c1"))
    assert settled.turns() == [("room", True), ("room", False)]


def test_it_does_not_matter_whether_joins_are_announced(settled: Driver, gateway: Reports) -> None:
    settled.feed(gateway.joined("c1", announce=False), gateway.left("c1", announce=False))
    assert settled.turns() == [("room", True), ("room", False)]


def test_channels_of_a_gateway_that_dies_are_vacated(settled: Driver, gateway: Reports) -> None:
    settled.feed(gateway.joined("c1"), Reports("g2").joined("c2"), gateway.joined("c3", "hall"))
    settled.turns()
    settled.feed(gateway.stopped())
    assert settled.turns() == [("hall", False)]


def test_what_was_occupied_before_a_takeover_is_not_told_again(gateway: Reports) -> None:
    fresh = Driver()
    fresh.feed(gateway.beat())
    ((_, sync),) = fresh.asked()
    fresh.feed(gateway.holds("c1", sync=sync), gateway.synced(sync))
    fresh.pass_time(1.5, beating=[gateway])
    assert not fresh.partition.filling
    assert fresh.turns() == []
    fresh.feed(gateway.left("c1"))
    assert fresh.turns() == [("room", False)]


def test_what_turns_during_a_takeover_is_told_as_it_is_when_all_is_known(gateway: Reports) -> None:
    fresh, other = Driver(), Reports("g2")
    fresh.feed(gateway.beat(), other.beat())
    ((_, sync),) = fresh.asked()
    fresh.feed(gateway.joined("c1", "hall"), gateway.joined("c2"), gateway.left("c2"), gateway.synced(sync))
    assert fresh.turns() == []
    fresh.feed(other.holds("c3", sync=sync), other.synced(sync))
    fresh.pass_time(1.5, beating=[gateway, other])
    assert fresh.turns() == [("hall", True), ("room", True)]


def test_a_partition_that_is_given_up_tells_nothing(settled: Driver, gateway: Reports) -> None:
    settled.feed(gateway.joined("c1"))
    settled.turns()
    settled.pass_time_alone(61)
    assert not settled.partition.active
    assert settled.turns() == []
