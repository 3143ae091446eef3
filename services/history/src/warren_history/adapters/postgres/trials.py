"""Which delivery of a queue is tried alone, and how often that was begun."""

from __future__ import annotations

from typing import Final

import asyncpg

_BEGIN: Final = """
INSERT INTO warren_history.trials AS trial (queue, delivery, begun) VALUES ($1, $2, 1)
ON CONFLICT (queue) DO UPDATE SET
    begun = CASE WHEN trial.delivery = excluded.delivery THEN trial.begun + 1 ELSE 1 END,
    delivery = excluded.delivery
RETURNING begun
"""
_END: Final = "DELETE FROM warren_history.trials WHERE queue = $1"


async def begin_trial(connection: asyncpg.Connection, queue: str, delivery: str) -> int:
    """Note a trial and return how many of this delivery did not end, with it. Raises asyncpg's errors."""
    return int(await connection.fetchval(_BEGIN, queue, delivery))


async def end_trial(connection: asyncpg.Connection, queue: str) -> None:
    """Forget the queue's trial. Raises asyncpg's errors."""
    await connection.execute(_END, queue)
