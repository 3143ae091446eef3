"""The store's age, against which message ids grow old."""

from __future__ import annotations

import sqlite3

from warren_history.domain.idempotency import aged


def advance_age(connection: sqlite3.Connection, now: int) -> int:
    """Bring the store's age up to ``now`` and return it; within a write transaction."""
    age, seen = connection.execute("SELECT age, seen FROM clock").fetchone()
    age = aged(age, seen, now)
    connection.execute("UPDATE clock SET age = ?, seen = ?", (age, now))
    return age
