"""Faults excuse what they may excuse and nothing else."""

from __future__ import annotations

import pytest

from chaos.breaker import Done, disturbances, upheavals
from chaos.lateness import Lateness
from chaos.layout import BROKER, HISTORY
from chaos.plan import DATABASE, DISK, LEADER, NODE, Fault, FaultKind


def done(kind: FaultKind, target: str) -> Done:
    return Done(Fault(0.0, kind, target, 1.0), 10.0, 12.0)


@pytest.mark.parametrize("target", [BROKER, NODE, LEADER])
@pytest.mark.parametrize("kind", [FaultKind.KILL, FaultKind.RESTART])
def test_only_a_death_of_the_broker_may_change_the_order_of_what_waits(kind: FaultKind, target: str) -> None:
    assert upheavals([done(kind, target)]) == [(10.0, 12.0)]


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        (FaultKind.PAUSE, BROKER),
        (FaultKind.MEMORY, BROKER),
        (FaultKind.KILL, HISTORY),
        (FaultKind.FULL_DISK, DISK),
        (FaultKind.KILL, DATABASE),
    ],
)
def test_nothing_else_may(kind: FaultKind, target: str) -> None:
    assert upheavals([done(kind, target)]) == []


@pytest.mark.parametrize(
    ("target", "disturbs"),
    [
        (BROKER, True),
        (NODE, True),
        ("gateway-1", True),
        ("gateway-1 to broker", True),
        ("clients to gateway-1", True),
        ("gateway-2", False),
        (HISTORY, False),
        ("history to broker", False),
        (DATABASE, False),
        ("presence", False),
        ("auth", False),
    ],
)
def test_live_publications_may_be_missed_only_where_something_on_their_way_is_broken(
    target: str, disturbs: bool
) -> None:
    assert disturbances([done(FaultKind.CUT, target)], "gateway-1", 5.0) == ([(10.0, 17.0)] if disturbs else [])


def test_live_publications_may_be_missed_while_the_judge_itself_is_late() -> None:
    lateness = Lateness()

    for before, now in ((0.0, 0.25), (0.25, 2.25), (2.25, 2.5)):
        lateness.note(before, now)

    assert lateness.disturbances(5.0) == [(0.25, 7.25)]
    assert lateness.seconds == 2.0
