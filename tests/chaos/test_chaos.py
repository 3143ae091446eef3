"""The promise of durable channels under faults drawn at random, in short; ``make chaos`` runs it longer."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from warren_dev.rabbitmq_package import find_scripts

pytestmark = [pytest.mark.e2e, pytest.mark.broker, pytest.mark.timeout(300)]
SEED_VARIABLE = "WARREN_CHAOS_SEED"
SEED = "333"
"""The same each time: whether a change may go in must not be a matter of chance. ``make chaos`` draws new ones."""
MINUTES, STORM = "0.8", "200"
LONGEST = 240.0


async def test_whatever_breaks_confirmed_publications_arrive_once_and_in_order_or_subscribers_are_told() -> None:
    if find_scripts() is None:
        pytest.skip("there is no RabbitMQ installed to run a node of that may be killed")
    seed = os.environ.get(SEED_VARIABLE, SEED)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "chaos", "--seed", seed, "--minutes", MINUTES, "--storm", STORM,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    communicating = asyncio.create_task(process.communicate())
    done, _ = await asyncio.wait({communicating}, timeout=LONGEST)
    if not done:
        process.terminate()  # it ends what it started
    said, _ = await communicating
    assert process.returncode == 0, said.decode()
