"""The rows of streams: finding them, beginning them, letting them live on."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from warren_history.adapters.sqlite.connection import transaction
from warren_history.domain.publications import Retention

NewEpoch = Callable[[], str]


@dataclass(slots=True)
class StreamRow:
    """A stream within a transaction."""

    id: int
    channel: str
    epoch: str
    top: int
    expires: int
    dies: int
    began: bool = False
    """Whether it began in this transaction."""


def find_stream(connection: sqlite3.Connection, channel: str, now: int) -> StreamRow | None:
    """Return a channel's stream if it has one that lives."""
    row = connection.execute(
        "SELECT id, channel, epoch, top, expires, dies FROM streams WHERE channel = ? AND dies > ?", (channel, now)
    ).fetchone()
    return None if row is None else StreamRow(*row)


def begin_stream(
    connection: sqlite3.Connection, channel: str, retention: Retention, now: int, new_epoch: NewEpoch
) -> tuple[StreamRow, bool]:
    """Begin a channel's stream, and say whether a dead one gave way to it."""
    replaced = connection.execute("DELETE FROM streams WHERE channel = ?", (channel,)).rowcount > 0
    epoch, dies = new_epoch(), now + retention.meta_ttl
    cursor = connection.execute(
        "INSERT INTO streams (channel, epoch, top, expires, dies) VALUES (?, ?, 0, 0, ?)", (channel, epoch, dies)
    )
    return StreamRow(int(cursor.lastrowid or 0), channel, epoch, 0, 0, dies, began=True), replaced


def open_streams(connection: sqlite3.Connection, wanted: Mapping[str, Retention], now: int, new_epoch: NewEpoch) -> int:
    """Begin those streams that do not live and renew those that do; return how many there are more."""
    more = 0
    with transaction(connection):
        for channel, retention in wanted.items():
            stream = find_stream(connection, channel, now)
            if stream is None:
                more += not begin_stream(connection, channel, retention, now, new_epoch)[1]
            else:
                connection.execute(
                    "UPDATE streams SET dies = max(dies, ?) WHERE id = ?", (now + retention.meta_ttl, stream.id)
                )
    return more
