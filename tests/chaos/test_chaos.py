"""The promise of durable channels under faults drawn at random, in short; ``make chaos`` runs it longer."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from warren_dev.rabbitmq_package import find_scripts

pytestmark = [pytest.mark.e2e, pytest.mark.broker, pytest.mark.postgres, pytest.mark.timeout(300)]
SEED_VARIABLE = "WARREN_CHAOS_SEED"
SEEDS = {"sqlite": "333", "postgres": "2113"}
"""The same each time: whether a change may go in must not be a matter of chance. ``make chaos`` draws new ones."""
MINUTES, STORM = "0.8", "200"
LONGEST = 240.0


async def test_whatever_breaks_confirmed_publications_arrive_once_and_in_order_or_subscribers_are_told() -> None:
    """On both stores, at the same time: most of it is waiting."""
    if find_scripts() is None:
        pytest.skip("there is no RabbitMQ installed to run a node of that may be killed")
    runs = await asyncio.gather(*(run(store, os.environ.get(SEED_VARIABLE, seed)) for store, seed in SEEDS.items()))
    assert [code for code, _ in runs] == [0, 0], "\n".join(said for code, said in runs if code != 0)


async def run(store: str, seed: str) -> tuple[int | None, str]:
    """Return the exit code of a run, and what it said."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "chaos", "--seed", seed, "--minutes", MINUTES, "--storm", STORM, "--store", store),
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    communicating = asyncio.create_task(process.communicate())
    done, _ = await asyncio.wait({communicating}, timeout=LONGEST)
    if not done:
        process.terminate()  # it ends what it started
    said, _ = await communicating
    return process.returncode, said.decode()
