"""Removing what has expired, a slice at a time, and telling how much is left."""

from __future__ import annotations

from typing import Final

import asyncpg

from warren_history.adapters.postgres.clock import AgeClock
from warren_history.domain.publications import StoreSize, Trimmed

_TRIM: Final = "SELECT * FROM warren_history.trim_1($1, $2, $3, $4, $5)"
_SIZE: Final = """
SELECT sum(streams)::bigint AS streams, sum(publications)::bigint AS publications,
    sum(message_ids)::bigint AS message_ids,
    (SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class
     WHERE relnamespace = to_regnamespace('warren_history') AND relkind = 'r') AS bytes
FROM warren_history.counts
"""


async def trim(connection: asyncpg.Connection, now: int, clock: AgeClock, window: int, limit: int) -> Trimmed:
    """Remove a slice as ``Store.trim`` promises. Raises asyncpg's errors."""
    row = await connection.fetchrow(_TRIM, now, clock.at(now), clock.step, window, limit)
    assert row is not None  # noqa: S101 - a function returns a row
    return Trimmed(row["publications"], row["message_ids"], row["streams"], row["more"])


async def measure(connection: asyncpg.Connection) -> StoreSize:
    """Return how much the store holds. Raises asyncpg's errors."""
    row = await connection.fetchrow(_SIZE)
    assert row is not None  # noqa: S101 - an aggregate returns a row
    return StoreSize(row["streams"], row["publications"], row["message_ids"], row["bytes"])
