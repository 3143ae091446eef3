"""Fills a store with publications as years of use would leave them: every channel's scattered over all pages."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg

FAR_AWAY: Final = 10**15
"""Unix milliseconds: nothing expires while it is measured."""


@dataclass(frozen=True, slots=True)
class Filling:
    """How much a store holds: publications of 200 bytes with a message id each, dealt out over channels."""

    channels: int
    publications: int

    @property
    def each(self) -> int:
        """Publications of one channel."""
        return self.publications // self.channels


_SQLITE: Final = (
    "PRAGMA synchronous = OFF",
    "PRAGMA cache_size = -1000000",
    "BEGIN",
    """
    WITH RECURSIVE number (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM number WHERE n + 1 < :channels)
    INSERT INTO streams (id, channel, epoch, top, expires, dies)
    SELECT n + 1, 'chat:' || n, 'epoch' || n, :each, :far, :far FROM number
    """,
    """
    WITH RECURSIVE number (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM number WHERE n + 1 < :publications)
    INSERT INTO publications (stream, "offset", time, expires, data, binary)
    SELECT n % :channels + 1, n / :channels + 1, 0, :far, zeroblob(200), 0 FROM number
    """,
    """
    WITH RECURSIVE number (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM number WHERE n + 1 < :publications)
    INSERT INTO message_ids (stream, message_id, "offset", time, age)
    SELECT n % :channels + 1, printf('%036d', n), n / :channels + 1, 0, 0 FROM number
    """,
    "COMMIT",
    "ANALYZE",
    "PRAGMA wal_checkpoint(TRUNCATE)",
)

_POSTGRES: Final = (
    """
    INSERT INTO warren_history.streams (id, channel, epoch, top, expires, dies, due)
    SELECT nextval('warren_history.stream_ids'), 'chat:' || n, 'epoch' || n, {each}, {far}, {far}, {far}
    FROM generate_series(0, {channels} - 1) AS n
    """,
    """
    INSERT INTO warren_history.publications (stream, "offset", "time", expires, "binary", data)
    SELECT n % {channels} + {first}, n / {channels} + 1, 0, {far}, false, decode(repeat('00', 200), 'hex')
    FROM generate_series(0, {publications} - 1) AS n
    """,
    """
    INSERT INTO warren_history.message_ids (stream, message_id, "offset", "time", age)
    SELECT n % {channels} + {first}, convert_to(lpad(n::text, 36, '0'), 'UTF8'), n / {channels} + 1, 0, 0
    FROM generate_series(0, {publications} - 1) AS n
    """,
    "VACUUM ANALYZE",
    "CHECKPOINT",
)


def fill_sqlite(path: Path, filling: Filling) -> None:
    """Fill a store file that has its tables and nothing in them."""
    connection = sqlite3.connect(path, isolation_level=None)
    values = {"channels": filling.channels, "publications": filling.publications, "each": filling.each, "far": FAR_AWAY}
    for statement in _SQLITE:
        connection.execute(statement, values if ":" in statement else {}).fetchall()
    connection.close()


async def fill_postgres(url: str, filling: Filling) -> None:
    """Fill a database that has its tables and nothing in them."""
    connection = await asyncpg.connect(url)
    first = None
    for statement in _POSTGRES:
        if first is None and "{first}" in statement:
            first = await connection.fetchval("SELECT min(id) FROM warren_history.streams")
        await connection.execute(
            statement.format(
                channels=filling.channels,
                publications=filling.publications,
                each=filling.each,
                far=FAR_AWAY,
                first=first,
            ),
            timeout=3600,
        )
    await connection.close()
