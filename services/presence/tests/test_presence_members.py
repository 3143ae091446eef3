"""Joins, leaves and snapshots: what they do to the index, and what is announced."""

from __future__ import annotations

import orjson
import pytest

from warren_presence.domain.effects import Announce
from warren_shared.contracts.presence import Joined, Member, Members, Stats

from .presence_driver import Driver, Reports


@pytest.fixture
def gateway() -> Reports:
    return Reports("g1")


@pytest.fixture
def driver(gateway: Reports) -> Driver:
    driver = Driver()
    driver.settled(gateway)
    return driver


def test_a_join_is_known_and_announced(driver: Driver, gateway: Reports) -> None:
    driver.feed(gateway.joined("c1"))

    assert driver.members() == ["c1"]
    assert driver.pushes() == [("join", "room", "c1")]


def test_a_leave_is_known_and_announced(driver: Driver, gateway: Reports) -> None:
    driver.feed(gateway.joined("c1"), gateway.left("c1"))

    assert driver.members() == []
    assert driver.pushes() == [("join", "room", "c1"), ("leave", "room", "c1")]
    assert driver.partition.occupancy.num_channels == 0


def test_nothing_is_announced_where_the_gateway_does_not_ask_for_it(driver: Driver, gateway: Reports) -> None:
    driver.feed(gateway.joined("c1", announce=False))
    assert driver.members() == ["c1"]
    driver.feed(gateway.left("c1", announce=False))

    assert driver.members() == []
    assert driver.pushes() == []


def test_a_join_or_leave_that_is_delivered_again_is_announced_once(driver: Driver, gateway: Reports) -> None:
    driver.feed(gateway.joined("c1"), gateway.joined("c1"), gateway.left("c1"), gateway.left("c1"))

    assert driver.pushes() == [("join", "room", "c1"), ("leave", "room", "c1")]


def test_a_client_that_comes_back_is_announced_again(driver: Driver, gateway: Reports) -> None:
    driver.feed(gateway.joined("c1"), gateway.left("c1"), gateway.joined("c1"), gateway.left("c1"))

    assert [kind for kind, _, _ in driver.pushes()] == ["join", "leave", "join", "leave"]


def test_channels_are_apart(driver: Driver, gateway: Reports) -> None:
    driver.feed(gateway.joined("c1", "room"), gateway.joined("c1", "hall"), gateway.left("c1", "room"))

    assert (driver.members("room"), driver.members("hall")) == ([], ["c1"])


def test_the_push_is_the_protocols_client_info(driver: Driver) -> None:
    member = Member(client="c1", user="", conn_info='{"name": "Ann"}', chan_info="[1.0]")
    report = Joined(gateway="g1", incarnation="g1-run1", started=1, channel="room", member=member, announce=True)

    driver.feed(report)

    (push,) = [effect for effect in driver.effects if isinstance(effect, Announce)]
    assert push.info == b'{"user":"","client":"c1","conn_info":{"name": "Ann"},"chan_info":[1.0]}'


def test_user_and_client_are_in_the_push_even_without_info(driver: Driver, gateway: Reports) -> None:
    driver.feed(gateway.joined("c1", user=""))

    (push,) = [effect for effect in driver.effects if isinstance(effect, Announce)]
    assert orjson.loads(push.info) == {"user": "", "client": "c1"}


def test_members_are_told_with_their_info(driver: Driver) -> None:
    member = Member(client="c1", user="42", conn_info="1", chan_info="2")
    driver.feed(Joined(gateway="g1", incarnation="g1-run1", started=1, channel="room", member=member))

    driver.ask()

    assert driver.answers() == [Members(members=(member,))]


def test_a_join_that_is_delivered_again_brings_its_info_up_to_date(driver: Driver) -> None:
    for info in ("1", "2"):
        member = Member(client="c1", conn_info=info)
        driver.feed(Joined(gateway="g1", incarnation="g1-run1", started=1, channel="room", member=member))

    driver.ask()

    assert driver.answers() == [Members(members=(Member(client="c1", conn_info="2"),))]


def test_stats_count_connections_and_distinct_users(driver: Driver, gateway: Reports) -> None:
    driver.feed(
        gateway.joined("c1", user="ann"),
        gateway.joined("c2", user="ann"),
        gateway.joined("c3", user="bob"),
        gateway.joined("c4", user=""),
        gateway.joined("c5", user=""),
    )

    driver.ask(stats=True)

    assert driver.answers() == [Stats(clients=5, users=3)]


def test_a_channel_nobody_is_in_is_empty(driver: Driver) -> None:
    driver.ask("nowhere")
    driver.ask("nowhere", stats=True)

    assert driver.answers() == [Members(), Stats()]


def test_a_snapshot_replaces_what_was_known_of_its_gateway_in_its_channel(driver: Driver, gateway: Reports) -> None:
    other = Reports("g2")
    driver.feed(other.beat(), other.joined("d1"))
    driver.feed(gateway.joined("c1"), gateway.joined("c2"), gateway.joined("c1", "hall"))
    driver.pushes()

    driver.feed(gateway.holds("c2", "c3", sync="g1's own"))

    assert driver.members() == ["c2", "c3", "d1"]
    assert driver.members("hall") == ["c1"]
    assert driver.pushes() == [("leave", "room", "c1"), ("join", "room", "c3")]


def test_a_snapshot_of_an_empty_channel_empties_it(driver: Driver, gateway: Reports) -> None:
    driver.feed(gateway.joined("c1"), gateway.holds(sync="g1's own", announce=False))

    assert driver.members() == []
    assert driver.pushes() == [("join", "room", "c1"), ("leave", "room", "c1")]
    assert driver.partition.occupancy.num_channels == 0


def test_the_leave_of_somebody_unknown_is_announced_as_its_join_may_have_been_by_another_process(
    driver: Driver, gateway: Reports
) -> None:
    driver.feed(gateway.left("c1"), gateway.left("c1"))

    assert driver.pushes() == [("leave", "room", "c1")]


def test_the_same_client_on_two_gateways_is_two_members(driver: Driver, gateway: Reports) -> None:
    other = Reports("g2")
    driver.feed(gateway.joined("c1"), other.joined("c1"), gateway.left("c1"))

    assert driver.members() == ["c1"]


def test_what_is_counted_is_what_is_there(driver: Driver, gateway: Reports) -> None:
    driver.feed(gateway.joined("c1"), gateway.joined("c2", "hall"), gateway.holds("c1", "c3", "c4", sync="s"))
    assert (driver.partition.occupancy.size, driver.partition.occupancy.num_channels) == (4, 2)

    driver.feed(gateway.stopped())
    assert (driver.partition.occupancy.size, driver.partition.occupancy.num_channels) == (0, 0)
