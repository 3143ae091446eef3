"""The store file's tables, and how an older file becomes a newer one.

Times are Unix milliseconds. Nothing here may change once released: a new form is a new migration.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from warren_history.adapters.sqlite.connection import transaction
from warren_history.ports import StoreUnusableError

_FIRST: Final = (
    # A stream that begins anew gets a new id (AUTOINCREMENT: one never used before), so whatever its
    # predecessor left behind is out of reach at once and can be removed at leisure.
    """
    CREATE TABLE streams (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        channel TEXT NOT NULL UNIQUE,
        epoch TEXT NOT NULL,
        top INTEGER NOT NULL,      -- offset of the newest publication; 0 for none
        expires INTEGER NOT NULL,  -- when the newest publication expires
        dies INTEGER NOT NULL      -- when epoch and top are forgotten; never before "expires"
    )
    """,
    "CREATE INDEX streams_by_death ON streams (dies)",
    # "expires" never falls along a stream, whatever becomes of the namespace's history_ttl: so what
    # has expired is always the beginning of a stream, and what is left has no gaps.
    """
    CREATE TABLE publications (
        id INTEGER PRIMARY KEY,
        stream INTEGER NOT NULL,
        "offset" INTEGER NOT NULL,
        time INTEGER NOT NULL,
        expires INTEGER NOT NULL,
        data BLOB NOT NULL,
        binary INTEGER NOT NULL,
        content_type TEXT,
        info TEXT,                 -- JSON
        tags TEXT,                 -- JSON object; NULL for none
        UNIQUE (stream, "offset")
    )
    """,
    "CREATE INDEX publications_by_expiry ON publications (expires)",
    """
    CREATE TABLE message_ids (
        stream INTEGER NOT NULL,
        message_id TEXT NOT NULL,
        "offset" INTEGER NOT NULL,
        time INTEGER NOT NULL,
        age INTEGER NOT NULL,      -- the store's age (see clock) when it was stored
        PRIMARY KEY (stream, message_id)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX message_ids_by_age ON message_ids (age)",
    # One row: how long the store has been in use, and when that was last brought up to date.
    "CREATE TABLE clock (age INTEGER NOT NULL, seen INTEGER NOT NULL)",
    "INSERT INTO clock (age, seen) VALUES (0, 0)",
)

_TRIALS: Final = (
    # What is in hand alone, of each queue: should the process die of it, the next one knows.
    """
    CREATE TABLE trials (
        queue TEXT NOT NULL PRIMARY KEY,
        delivery TEXT NOT NULL,    -- digest
        begun INTEGER NOT NULL     -- how many trials of it did not end, with the present one
    ) WITHOUT ROWID
    """,
)

MIGRATIONS: Final = (_FIRST, _TRIALS)
"""MIGRATIONS[n] leads from version n to n + 1."""


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the file to the newest version, in one transaction.

    Raises StoreUnusableError for a file of a newer version, or of somebody else.
    """
    with transaction(connection):
        version = _version(connection)
        if version > len(MIGRATIONS):
            raise StoreUnusableError(
                f"the store has version {version}, this program knows {len(MIGRATIONS)}: start a newer one"
            )
        for statements in MIGRATIONS[version:]:
            for statement in statements:
                connection.execute(statement)
        connection.execute("UPDATE schema_version SET version = ?", (len(MIGRATIONS),))


def _version(connection: sqlite3.Connection) -> int:
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables:
        connection.execute("CREATE TABLE schema_version (version INTEGER NOT NULL)")
        connection.execute("INSERT INTO schema_version (version) VALUES (0)")
        return 0
    if "schema_version" not in tables:
        raise StoreUnusableError("the file is a database, but no history store")
    (version,) = connection.execute("SELECT version FROM schema_version").fetchone()
    return int(version)
