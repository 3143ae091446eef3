"""Removing what a channel holds, a slice at a time, and giving streams new epochs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import asyncpg

SLICE: Final = 1000

_TOP: Final = "SELECT id, top FROM warren_history.streams WHERE channel = $1"
# Waits for rows that trimming holds: they go, or stay to be removed here. Nobody else waits for these.
_REMOVE: Final = """
WITH gone AS (
    DELETE FROM warren_history.publications WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM warren_history.publications WHERE stream = $1 AND "offset" <= $2
        ORDER BY "offset" LIMIT $3 FOR UPDATE
    ))
    RETURNING 1
), counted AS (SELECT count(*) AS removed FROM gone)
SELECT removed, warren_history.count_1(0, -removed, 0) FROM counted
"""
_RENEW: Final = """
WITH renewed AS (
    UPDATE warren_history.streams SET epoch = replace(gen_random_uuid()::text, '-', '') RETURNING 1
)
SELECT count(*) FROM renewed
"""


@dataclass(frozen=True, slots=True)
class Removal:
    """What is to be removed: everything of one incarnation of a stream up to an offset."""

    stream: int
    until: int


async def find_removal(connection: asyncpg.Connection, channel: str) -> Removal | None:
    """Return the removal of all a channel holds now; None if it has no stream. Raises asyncpg's errors."""
    row = await connection.fetchrow(_TOP, channel)
    return None if row is None else Removal(row["id"], row["top"])


async def remove_slice(connection: asyncpg.Connection, removal: Removal) -> int:
    """Remove the oldest, at most SLICE, and return how many; 0 when none is left. Raises asyncpg's errors."""
    return int(await connection.fetchval(_REMOVE, removal.stream, removal.until, SLICE))


async def renew_epochs(connection: asyncpg.Connection) -> int:
    """Give every stream another epoch. Raises asyncpg's errors."""
    return int(await connection.fetchval(_RENEW))
