"""Reading a page as of one moment."""

from __future__ import annotations

import sqlite3
from typing import Final

from warren_history.adapters.sqlite.connection import snapshot
from warren_history.adapters.sqlite.rows import CONTENT_COLUMNS, content_of
from warren_history.adapters.sqlite.streams import StreamRow, find_stream
from warren_history.domain.publications import ReadPlan, Stored, StreamPage

_BEYOND: Final = 2**63 - 1
_SELECT: Final = (
    f'SELECT "offset", time, {CONTENT_COLUMNS} FROM publications '  # noqa: S608 - a constant
    'WHERE stream = ? AND "offset" > ? AND "offset" < ? AND expires > ? ORDER BY "offset" {direction} LIMIT ?'
)
_FORWARD: Final = _SELECT.replace("{direction}", "ASC")
_REVERSE: Final = _SELECT.replace("{direction}", "DESC")


def read(connection: sqlite3.Connection, plan: ReadPlan, now: int) -> StreamPage | None:
    """Read a page; None if the stream must be begun or renewed first. Raises sqlite3.Error."""
    with snapshot(connection):
        stream = find_stream(connection, plan.channel, now)
        if stream is None or stream.dies - now < plan.retention.meta_ttl // 2:
            return None
        publications = _publications(connection, stream, plan, now) if plan.limit else ()
    return StreamPage(stream.epoch, stream.top, publications)


def _publications(connection: sqlite3.Connection, stream: StreamRow, plan: ReadPlan, now: int) -> tuple[Stored, ...]:
    above, below = max(0, stream.top - plan.retention.size), _BEYOND
    if plan.since is not None:
        above, below = (above, plan.since) if plan.reverse else (max(above, plan.since), below)
    found: list[Stored] = []
    size = 0
    cursor = connection.execute(_REVERSE if plan.reverse else _FORWARD, (stream.id, above, below, now, plan.limit))
    try:
        for offset, time, *columns in cursor:
            content = content_of(tuple(columns))
            size += len(content.data)
            if found and size > plan.max_bytes:
                break
            found.append(Stored(offset, time, content))
    finally:
        cursor.close()
    return tuple(found)
