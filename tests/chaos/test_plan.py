"""A plan is repeatable, covers everything, and never breaks more at a time than the promise allows for."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaos.layout import BROKER, SPARE, Layout, StoreKind
from chaos.plan import DATABASE, DISK, LASTS, LEADER, NODE, REST, SERVICES, TOGETHER, FaultKind, draw, links, taken_by

seeds = st.integers(0, 2**32)
ON_FILE, ON_DATABASE = Layout(), Layout(store=StoreKind.POSTGRES)
layouts = st.builds(Layout, cluster=st.booleans(), store=st.sampled_from(StoreKind))


def test_the_same_seed_breaks_the_same_things() -> None:
    assert draw(7, 180, ON_FILE) == draw(7, 180, ON_FILE)
    assert draw(7, 180, ON_FILE) != draw(8, 180, ON_FILE)


@settings(deadline=None)
@given(seeds, layouts)
def test_no_more_is_broken_at_a_time_than_the_rule_allows(seed: int, layout: Layout) -> None:
    plan = draw(seed, 180, layout)

    for one, other in combinations(plan, 2):
        if one.takes == other.takes:
            assert one.end + REST <= other.moment + 0.1 or other.end + REST <= one.moment + 0.1
    for fault in plan:
        assert sum(other.moment <= fault.moment < other.end - 0.1 for other in plan) <= TOGETHER


@settings(deadline=None)
@given(seeds, layouts)
def test_everything_is_in_bounds_and_over_in_time(seed: int, layout: Layout) -> None:
    plan = draw(seed, 90, layout)

    assert plan == sorted(plan, key=lambda fault: fault.moment)
    for fault in plan:
        least, most = LASTS[fault.kind]
        assert least <= fault.duration <= most
        assert fault.end <= 90


def test_a_long_plan_breaks_everything_in_every_way() -> None:
    plan = draw(1, 1200, ON_FILE)

    assert {fault.kind for fault in plan} == set(FaultKind)
    assert {fault.target for fault in plan} == {BROKER, *SERVICES, *links(ON_FILE), DISK}


def test_a_database_its_links_and_a_second_history_process_are_broken_too() -> None:
    plan = draw(1, 1200, ON_DATABASE)

    assert {fault.target for fault in plan} == {BROKER, *SERVICES, SPARE, *links(ON_DATABASE), DATABASE}
    assert {fault.kind for fault in plan if fault.target == DATABASE} == {FaultKind.KILL, FaultKind.RESTART}
    assert {"history to postgres", "history-2 to postgres", "history-2 to broker"} <= set(links(ON_DATABASE))


def test_a_cluster_loses_one_node_at_a_time() -> None:
    plan = draw(1, 1200, Layout(cluster=True))

    assert {fault.target for fault in plan} == {NODE, LEADER, *SERVICES, *links(ON_FILE), DISK}
    assert taken_by(NODE) == taken_by(LEADER) == taken_by(BROKER)


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("rabbitmq", "history", False),
        ("rabbitmq", "history to broker", False),
        ("rabbitmq", DISK, False),
        ("rabbitmq", DATABASE, False),
        ("history", "history to postgres", False),
        ("history", "history-2", True),
        ("history-2", "history-2 to postgres", False),
        ("history-2 to broker", DATABASE, True),
        ("gateway-1", "clients to gateway-1", False),
        ("gateway-1", "gateway-2", True),
        ("history", "gateway-1 to broker", True),
        ("presence", "auth", True),
    ],
)
def test_what_keeps_publications_is_broken_one_at_a_time(one: str, other: str, together: bool) -> None:
    assert (taken_by(one) != taken_by(other)) is together
