"""Knowing gateways by their heartbeats."""

from __future__ import annotations

from warren_api.domain.nodes import MOST_NODES, SILENCE, Nodes
from warren_shared.contracts.presence import Heartbeat, Stopped


def names(nodes: Nodes, now: float) -> list[str]:
    return [beat.gateway for beat in nodes.alive(now)]


def test_who_is_silent_for_too_long_is_gone_and_comes_back_with_a_heartbeat() -> None:
    nodes = Nodes()
    nodes.hear(Heartbeat(gateway="b", incarnation="1"), 0.0)
    nodes.hear(Heartbeat(gateway="a", incarnation="1"), 1.0)
    assert names(nodes, SILENCE - 0.1) == ["a", "b"]
    assert names(nodes, SILENCE + 0.1) == ["a"]
    nodes.hear(Heartbeat(gateway="b", incarnation="2"), SILENCE + 0.2)
    assert names(nodes, SILENCE + 0.3) == ["a", "b"]


def test_a_farewell_ends_the_run_it_is_of_and_no_later_one() -> None:
    nodes = Nodes()
    nodes.hear(Heartbeat(gateway="a", incarnation="2"), 0.0)
    nodes.hear(Stopped(gateway="a", incarnation="1"), 0.0)
    assert names(nodes, 0.1) == ["a"]
    nodes.hear(Stopped(gateway="a", incarnation="2"), 0.0)
    nodes.hear(Stopped(gateway="b", incarnation="2"), 0.0)
    assert names(nodes, 0.1) == []


def test_no_more_gateways_are_kept_than_there_can_be() -> None:
    nodes = Nodes()
    for number in range(MOST_NODES + 1):
        nodes.hear(Heartbeat(gateway=f"g{number}", incarnation="1"), 0.0)
    assert len(names(nodes, 0.1)) == MOST_NODES
