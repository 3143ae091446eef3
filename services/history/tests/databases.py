"""The PostgreSQL server of a test run: a private one, or the one the environment names."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import asyncpg

from warren_dev.postgres import PrivatePostgres, running_postgres
from warren_history.adapters.postgres.clock import AgeClock
from warren_history.adapters.postgres_store import PostgresOptions

from .store_behaviour import WINDOW

URL_VARIABLE: Final = "WARREN_TEST_POSTGRES_URL"
"""Of a role that may make databases."""


@dataclass(frozen=True, slots=True)
class CallersClock(AgeClock):
    """The time that calls are given, to the millisecond: tests make time themselves."""

    step: int = 1

    def at(self, now: int) -> int | None:
        return now


OPTIONS: Final = PostgresOptions(flush=False, idempotency_window=WINDOW, clock=CallersClock())
_FAST: Final = {"fsync": "off", "full_page_writes": "off", "max_wal_size": "256MB"}
"""Without flushes to the disk: only a power cut would tell the difference."""


@dataclass(frozen=True, slots=True)
class DatabaseServer:
    """A server that tests make databases on."""

    url: str
    private: PrivatePostgres | None
    """If it is this run's own, which may be stopped."""

    @asynccontextmanager
    async def database(self) -> AsyncIterator[str]:
        """Make a database; the value is its URL. It is dropped at the end, unless the whole server is thrown away."""
        name = f"warren_test_{secrets.token_hex(6)}"
        await self._execute(f"CREATE DATABASE {name}")
        try:
            yield urlsplit(self.url)._replace(path=f"/{name}").geturl()
        finally:
            if self.private is None:
                await self._execute(f"DROP DATABASE {name} WITH (FORCE)")

    async def _execute(self, statement: str) -> None:
        async with asyncio.timeout(30):
            connection = await asyncpg.connect(self.url)
            try:
                await connection.execute(statement)
            finally:
                await connection.close()


@contextmanager
def database_server() -> Iterator[DatabaseServer]:
    """Return the environment's server, or run one while the block does."""
    given = os.environ.get(URL_VARIABLE)
    if given:
        yield DatabaseServer(given, None)
        return
    with running_postgres(print, _FAST) as private:
        yield DatabaseServer(private.url(), private)
