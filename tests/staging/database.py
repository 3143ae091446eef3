"""A private PostgreSQL held on a stage, for those who have event loops of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from staging.stage import Stage
from warren_dev.postgres import PrivatePostgres, running_postgres


@dataclass(frozen=True, slots=True)
class Database:
    """A server that can be broken from any event loop; it ends with the stage, in whose thread it is started."""

    stage: Stage
    server: PrivatePostgres

    @property
    def url(self) -> str:
        """The database, for the server's owner."""
        return self.server.url()

    async def start(self) -> None:
        """Start it and wait until it takes connections. Raises SetupError."""
        await self._on_stage(self.server.start)

    async def stop(self) -> None:
        """End it in good order."""
        await self._on_stage(self.server.stop)

    async def crash(self) -> None:
        """End it at once: the next start recovers."""
        await self._on_stage(self.server.crash)

    async def _on_stage(self, work: Callable[[], None]) -> None:
        """Do what blocks in the stage's thread: here clients must answer pings."""

        async def working() -> None:
            work()

        await self.stage.run(working())


@asynccontextmanager
async def running_database(stage: Stage) -> AsyncIterator[Database]:
    """Run a server while the block does; to be entered on the stage. Raises SetupError."""
    with running_postgres(print) as server:
        yield Database(stage, server)
