"""Where history keeps its store in a run: in a file on a small disk, or in a database behind links."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from proxy import Proxy, through
from staging.database import Database, running_database
from staging.small_disk import SmallDisk, mounted
from staging.stage import Stage

from chaos.layout import HISTORY, Layout
from warren_dev.ports import LOOPBACK

_DISK_MEBIBYTES: Final = 128


@dataclass(frozen=True, slots=True)
class Keeping:
    """A store, and what of it can be broken."""

    environments: Mapping[str, Mapping[str, str]]
    """What tells each history process of it."""
    disk: SmallDisk | None = None
    database: Database | None = None
    links: Mapping[str, Proxy] = field(default_factory=dict)


@asynccontextmanager
async def keeping(stage: Stage, folder: Path, layout: Layout) -> AsyncIterator[Keeping]:
    """Have a store ready while the block runs. Raises SetupError."""
    if not layout.to_database:
        async with mounted(folder / "disk", mebibytes=_DISK_MEBIBYTES) as disk:
            path = folder / "disk" / "history.sqlite3"
            yield Keeping({HISTORY: {"WARREN_HISTORY_STORE_PATH": str(path)}}, disk)
        return
    async with AsyncExitStack() as ends:
        database = await ends.enter_async_context(stage.holding(lambda: running_database(stage)))
        links = {
            name: await ends.enter_async_context(Proxy.to(LOOPBACK, database.server.port))
            for name in layout.to_database
        }
        environments = {
            history: {"WARREN_HISTORY_STORE_URL": through(database.url, link)}
            for history, link in zip(layout.histories, links.values(), strict=True)
        }
        yield Keeping(environments, database=database, links=links)
