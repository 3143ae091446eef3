"""Reading a page as of one moment, and beginning the streams that are read before they exist."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import asyncpg

from warren_history.adapters.postgres.content import content_of
from warren_history.domain.publications import ReadPlan, Retention, Stored, StreamPage

_BEYOND: Final = 2**63 - 1
_READ: Final = "SELECT * FROM warren_history.read_1($1, $2, $3, $4, $5, $6, $7, $8)"
_OPEN: Final = "SELECT warren_history.open_1($1, $2, $3, $4, $5)"


async def read(connection: asyncpg.Connection, plan: ReadPlan, now: int) -> StreamPage | None:
    """Read a page; None if the stream must be begun or renewed first. Raises asyncpg's errors."""
    above, below = 0, _BEYOND
    if plan.since is not None:
        above, below = (above, plan.since) if plan.reverse else (plan.since, below)
    rows = await connection.fetch(
        _READ, now, plan.channel, plan.retention.size, above, below, plan.limit, plan.max_bytes, plan.reverse
    )
    if not rows or rows[0]["dies"] - now < plan.retention.meta_ttl // 2:
        return None
    publications = tuple(
        Stored(row["offset"], row["time"], content_of(row)) for row in rows if row["offset"] is not None
    )
    return StreamPage(rows[0]["epoch"], rows[0]["top"], publications)


async def open_streams(
    connection: asyncpg.Connection,
    wanted: Mapping[str, Retention],
    now: int,
    new_epoch: Callable[[], str],
    *,
    flush: bool,
) -> int:
    """Begin those streams that do not live and renew those that do; return how many there are more.

    Raises asyncpg's errors.
    """
    channels = sorted(wanted)  # the order in which appends lock them
    epochs = [new_epoch() for _ in channels]
    meta_ttls = [wanted[channel].meta_ttl for channel in channels]
    return int(await connection.fetchval(_OPEN, now, flush, channels, epochs, meta_ttls))
