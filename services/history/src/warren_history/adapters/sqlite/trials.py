"""Which delivery of a queue is tried alone, and how often that was begun."""

from __future__ import annotations

import sqlite3
from typing import Final

from warren_history.adapters.sqlite.connection import transaction

_BEGIN: Final = """
INSERT INTO trials (queue, delivery, begun) VALUES (?, ?, 1)
ON CONFLICT (queue) DO UPDATE SET
    begun = CASE WHEN delivery = excluded.delivery THEN begun + 1 ELSE 1 END, delivery = excluded.delivery
"""


def begin_trial(connection: sqlite3.Connection, queue: str, delivery: str) -> int:
    """Note a trial and return how many of this delivery did not end, with it. Raises sqlite3.Error."""
    with transaction(connection):
        connection.execute(_BEGIN, (queue, delivery))
        (begun,) = connection.execute("SELECT begun FROM trials WHERE queue = ?", (queue,)).fetchone()
        return int(begun)


def end_trial(connection: sqlite3.Connection, queue: str) -> None:
    """Forget the queue's trial. Raises sqlite3.Error."""
    with transaction(connection):
        connection.execute("DELETE FROM trials WHERE queue = ?", (queue,))
