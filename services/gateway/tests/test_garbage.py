"""Full garbage collections follow closed connections, not growth."""

from __future__ import annotations

import subprocess
import sys

from warren_gateway.adapters.garbage import FEWEST_CLOSED, FullPasses


class Connections:
    def __init__(self) -> None:
        self.closed = self.open = self.passes = 0

    def collect(self) -> None:
        self.passes += 1


def full_passes(connections: Connections) -> FullPasses:
    return FullPasses(lambda: connections.closed, lambda: connections.open, connections.collect)


def test_connections_that_stay_open_cause_no_full_pass() -> None:
    connections = Connections()
    connections.open = 1_000_000

    assert not full_passes(connections).look()


def test_a_full_pass_is_made_once_for_each_so_many_closed_connections() -> None:
    connections = Connections()
    passes = full_passes(connections)

    connections.closed = FEWEST_CLOSED - 1
    assert not passes.look()
    connections.closed = FEWEST_CLOSED
    assert passes.look()
    assert not passes.look()
    connections.closed = 2 * FEWEST_CLOSED
    assert passes.look()
    assert connections.passes == 2


def test_with_many_open_connections_more_must_have_closed() -> None:
    connections = Connections()
    connections.open, connections.closed = 3 * FEWEST_CLOSED, 2 * FEWEST_CLOSED

    assert not full_passes(connections).look()


def test_growth_alone_starts_no_full_pass() -> None:
    script = """
import gc
from warren_gateway.adapters.garbage import leave_old_objects_alone
leave_old_objects_alone()
generations = []
gc.callbacks.append(lambda phase, info: generations.append(info["generation"]))
keep = [[] for _ in range(500_000)]
assert 1 in generations and 2 not in generations, set(generations)
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=30)  # noqa: S603 - our own interpreter and script
