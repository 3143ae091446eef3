"""A plan is repeatable, covers everything, and never breaks more at a time than the promise allows for."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaos.plan import BROKER, DISK, LASTS, LEADER, LINKS, NODE, PROCESSES, REST, TOGETHER, FaultKind, draw, taken_by

seeds = st.integers(0, 2**32)


def test_the_same_seed_breaks_the_same_things() -> None:
    assert draw(7, 180) == draw(7, 180)
    assert draw(7, 180) != draw(8, 180)


@settings(deadline=None)
@given(seeds)
def test_no_more_is_broken_at_a_time_than_the_rule_allows(seed: int) -> None:
    plan = draw(seed, 180)

    for one, other in combinations(plan, 2):
        if one.takes == other.takes:
            assert one.end + REST <= other.moment + 0.1 or other.end + REST <= one.moment + 0.1
    for fault in plan:
        assert sum(other.moment <= fault.moment < other.end - 0.1 for other in plan) <= TOGETHER


@settings(deadline=None)
@given(seeds)
def test_everything_is_in_bounds_and_over_in_time(seed: int) -> None:
    plan = draw(seed, 90)

    assert plan == sorted(plan, key=lambda fault: fault.moment)
    for fault in plan:
        least, most = LASTS[fault.kind]
        assert least <= fault.duration <= most
        assert fault.end <= 90


def test_a_long_plan_breaks_everything_in_every_way() -> None:
    plan = draw(1, 1200)

    assert {fault.kind for fault in plan} == set(FaultKind)
    assert {fault.target for fault in plan} == {*PROCESSES, *LINKS, DISK}


def test_a_cluster_loses_one_node_at_a_time() -> None:
    plan = draw(1, 1200, cluster=True)

    assert {fault.target for fault in plan} == {NODE, LEADER, *PROCESSES[1:], *LINKS, DISK}
    assert taken_by(NODE) == taken_by(LEADER) == taken_by(BROKER)


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("rabbitmq", "history", False),
        ("rabbitmq", "history to broker", False),
        ("rabbitmq", DISK, False),
        ("gateway-1", "clients to gateway-1", False),
        ("gateway-1", "gateway-2", True),
        ("history", "gateway-1 to broker", True),
        ("presence", "auth", True),
    ],
)
def test_what_keeps_publications_is_broken_one_at_a_time(one: str, other: str, together: bool) -> None:
    assert (taken_by(one) != taken_by(other)) is together
