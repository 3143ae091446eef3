"""Taking a partition over: asking the gateways, and holding queries until they have answered."""

from __future__ import annotations

import pytest

from warren_presence.domain.filling import LONGEST
from warren_shared.contracts.presence import Members
from warren_shared.contracts.rpc import Failed

from .presence_driver import Driver, Reports


@pytest.fixture
def gateway() -> Reports:
    return Reports("g1")


@pytest.fixture
def fresh() -> Driver:
    """A process that has had no delivery yet."""
    return Driver()


def test_the_first_delivery_makes_every_gateway_be_asked(fresh: Driver, gateway: Reports) -> None:
    assert fresh.asked() == []
    assert not fresh.partition.active

    fresh.feed(gateway.beat(), Reports("g2").beat())

    assert [asked for asked, _ in fresh.asked()] == [None]
    assert fresh.partition.active
    assert fresh.partition.filling


def test_who_a_snapshot_names_was_announced_before(fresh: Driver, gateway: Reports) -> None:
    fresh.feed(gateway.beat())
    ((_, sync),) = fresh.asked()

    fresh.feed(gateway.holds("c1", sync=sync), gateway.synced(sync))
    fresh.pass_time(1, beating=[gateway])

    assert fresh.members() == ["c1"]
    assert fresh.pushes() == []


def test_joins_and_leaves_meanwhile_are_announced(fresh: Driver, gateway: Reports) -> None:
    fresh.feed(gateway.joined("new"), gateway.left("old"), gateway.left("old"))

    assert fresh.pushes() == [("join", "room", "new"), ("leave", "room", "old")]


def test_who_joined_meanwhile_stays_though_the_snapshot_was_made_before(fresh: Driver, gateway: Reports) -> None:
    fresh.feed(gateway.beat())
    ((_, sync),) = fresh.asked()

    fresh.feed(gateway.joined("c2", "hall"), gateway.holds("c1", sync=sync), gateway.synced(sync))
    fresh.pass_time(1, beating=[gateway])

    assert (fresh.members("room"), fresh.members("hall")) == (["c1"], ["c2"])


def test_queries_wait_until_every_gateway_heard_of_has_answered(fresh: Driver, gateway: Reports) -> None:
    other = Reports("g2")
    fresh.feed(gateway.beat(), other.beat())
    ((_, sync),) = fresh.asked()
    fresh.ask()
    fresh.feed(gateway.holds("c1", sync=sync), gateway.synced(sync))
    fresh.pass_time(1, beating=[gateway, other])
    assert fresh.answers() == []

    fresh.feed(other.holds("d1", sync=sync), other.synced(sync))

    (answer,) = fresh.answers()
    assert isinstance(answer, Members)
    assert {member.client for member in answer.members} == {"c1", "d1"}


def test_one_quick_gateway_does_not_make_the_index_complete_before_others_had_time(
    fresh: Driver, gateway: Reports
) -> None:
    other = Reports("g2")
    fresh.feed(gateway.beat())
    ((_, sync),) = fresh.asked()
    fresh.ask()
    fresh.feed(gateway.synced(sync))
    fresh.pass_time(0.5)
    assert fresh.answers() == []

    fresh.feed(other.holds("d1", sync=sync), other.synced(sync))
    fresh.pass_time(0.5)

    (answer,) = fresh.answers()
    assert isinstance(answer, Members)
    assert len(answer.members) == 1


def test_a_gateway_that_starts_just_after_the_request_is_asked_itself(fresh: Driver, gateway: Reports) -> None:
    fresh.ask()
    ((_, sync),) = fresh.asked()
    fresh.pass_time(0.5)
    fresh.feed(gateway.beat())
    fresh.pass_time(0.5)
    ((asked, individual),) = fresh.asked()
    assert (asked, individual != sync) == ("g1", True)

    fresh.feed(gateway.holds("c1", sync=individual), gateway.synced(individual))
    fresh.pass_time(0.25)

    assert not fresh.partition.filling
    assert len(fresh.answers()) == 1
    assert fresh.pushes() == []


def test_a_gateway_whose_answer_is_on_its_way_is_not_asked_itself(fresh: Driver, gateway: Reports) -> None:
    fresh.ask()
    ((_, sync),) = fresh.asked()
    fresh.pass_time(0.5)

    fresh.feed(gateway.joined("c1"), gateway.synced(sync))
    fresh.pass_time(3, beating=[gateway])

    assert fresh.asked() == []


def test_a_gateway_that_never_answers_is_not_waited_for_longer_than_a_heartbeat(
    fresh: Driver, gateway: Reports
) -> None:
    other = Reports("g2")
    fresh.feed(gateway.beat(), other.beat())
    ((_, sync),) = fresh.asked()
    fresh.ask()
    fresh.feed(gateway.holds("c1", sync=sync), gateway.synced(sync))

    fresh.pass_time(4, beating=[gateway, other])

    (answer,) = fresh.answers()
    assert isinstance(answer, Members)
    assert [asked for asked, _ in fresh.asked()] == ["g2"]


def test_a_gateway_with_much_to_tell_is_waited_for_and_queries_meanwhile_fail_for_now(
    fresh: Driver, gateway: Reports
) -> None:
    fresh.feed(gateway.beat())
    ((_, sync),) = fresh.asked()
    fresh.ask()
    for number in range(12):
        fresh.feed(gateway.holds("c1", sync=sync, channel=f"room{number}"))
        fresh.pass_time(0.5, beating=[gateway])

    assert fresh.partition.filling
    assert fresh.answers() == [Failed(code=100, reason="internal server error", temporary=True)]

    fresh.feed(gateway.synced(sync))
    assert not fresh.partition.filling


def test_a_gateway_that_never_comes_to_an_end_is_given_up(fresh: Driver, gateway: Reports) -> None:
    fresh.feed(gateway.beat())
    ((_, sync),) = fresh.asked()
    for _ in range(int(LONGEST) + 1):
        fresh.feed(gateway.holds("c1", sync=sync))
        fresh.pass_time(1, beating=[gateway])

    assert not fresh.partition.filling


def test_without_any_gateway_queries_are_answered_after_a_heartbeat(fresh: Driver) -> None:
    fresh.ask()

    fresh.pass_time(4)

    assert fresh.answers() == [Members()]


def test_too_many_waiting_queries_fail_at_once(fresh: Driver) -> None:
    for _ in range(11):
        fresh.ask()

    assert fresh.answers() == [Failed(code=100, reason="internal server error", temporary=True)]


def test_the_index_is_not_complete_while_what_was_queued_before_is_being_read(fresh: Driver, gateway: Reports) -> None:
    fresh.feed(gateway.beat())
    ((_, sync),) = fresh.asked()
    fresh.ask()
    fresh.feed(gateway.synced(sync))

    fresh.pass_time_alone(3)
    assert fresh.partition.filling

    fresh.return_probes()
    fresh.pass_time(0.5)
    assert not fresh.partition.filling


def test_a_long_backlog_does_not_end_the_tenure(fresh: Driver, gateway: Reports) -> None:
    for _ in range(100):
        fresh.feed(gateway.beat())
        fresh.pass_time_alone(1)

    assert fresh.partition.taken_over == 1
    assert fresh.partition.num_gateways == 1


def test_a_gateway_that_crashed_before_the_takeover_is_gone_after_it(fresh: Driver, gateway: Reports) -> None:
    """Its last reports were still queued."""
    fresh.feed(gateway.joined("c1"))
    fresh.pass_time(10)

    assert fresh.members() == []
    assert fresh.pushes() == [("join", "room", "c1"), ("leave", "room", "c1")]
