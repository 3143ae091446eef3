"""Clients for the end-to-end tests."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from clients.bystander import Bystander
from clients.party import Clients
from clients.sdk import connected
from staging.suite import Suite

REPOSITORY = Path(__file__).parents[2]
_unique = itertools.count(1)


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """The JS packages that package.json names, installed."""
    installed = REPOSITORY / "node_modules"
    missing = [name for name in ("centrifuge", "ws", "amqplib") if not (installed / name).is_dir()]
    assert not missing, f"{missing} not installed: run 'npm ci'"
    return installed


@pytest.fixture
async def clients(suite: Suite, node_modules: Path) -> AsyncIterator[Clients]:
    async with AsyncExitStack() as ends:
        yield Clients(suite, node_modules, ends)


@pytest.fixture
async def bystander(suite: Suite, clients: Clients, unique: str) -> AsyncIterator[Bystander]:
    """A client on the first gateway, held to being undisturbed by the test."""
    client = await connected(await clients.make("python", 0, "bystander"))
    bystander = await Bystander.settle(client, f"{unique}-bystander")
    yield bystander
    await bystander.check(suite.backend_url)


@pytest.fixture
def unique() -> str:
    """A word no other test uses, for channels and users."""
    return f"t{next(_unique)}"


@pytest.fixture(autouse=True)
def _all_processes_run(suite: Suite) -> Iterator[None]:
    """Start again what a test left down, and fail it for that."""
    yield
    down = [name for name in suite.all_processes if not suite.is_running(name)]
    if down:
        suite.stage.call(suite.start(*down))
    assert not down
