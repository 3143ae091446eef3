"""What tests of the PostgreSQL store share: one server for the run, and a database for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from .databases import DatabaseServer, database_server


@pytest.fixture(scope="session")
def server() -> Iterator[DatabaseServer]:
    with database_server() as server:
        yield server


@pytest.fixture
async def database(server: DatabaseServer) -> AsyncIterator[str]:
    """The URL of an empty database."""
    async with server.database() as url:
        yield url
