"""Appending a batch in one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from warren_history.adapters.sqlite.clock import advance_age
from warren_history.adapters.sqlite.connection import transaction
from warren_history.adapters.sqlite.rows import CONTENT_COLUMNS, content_of, content_row
from warren_history.adapters.sqlite.streams import NewEpoch, StreamRow, begin_stream, find_stream
from warren_history.domain.publications import Appended, NewPublication

_SURPLUS_TRIMMED: Final = 256
"""How far one append shrinks a stream whose ``history_size`` was lowered; readers see only what is
within the size anyway."""

_INSERT_PUBLICATION: Final = (
    f'INSERT INTO publications (stream, "offset", time, expires, {CONTENT_COLUMNS}) '  # noqa: S608 - constants
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_INSERT_MESSAGE_ID: Final = (
    'INSERT OR REPLACE INTO message_ids (stream, message_id, "offset", time, age) VALUES (?, ?, ?, ?, ?)'
)
_FIND_MESSAGE_ID: Final = 'SELECT "offset", time, age FROM message_ids WHERE stream = ? AND message_id = ?'
_FIND_CONTENT: Final = (
    f"SELECT {CONTENT_COLUMNS} FROM publications "  # noqa: S608 - constants
    'WHERE stream = ? AND "offset" = ?'
)
_UPDATE_STREAM: Final = "UPDATE streams SET top = ?, expires = ?, dies = ? WHERE id = ?"
_TRIM_TO_SIZE: Final = (
    "DELETE FROM publications WHERE id IN "
    '(SELECT id FROM publications WHERE stream = ? AND "offset" <= ? ORDER BY "offset" LIMIT ?)'
)


@dataclass(slots=True)
class Growth:
    """How many rows there are more."""

    streams: int = 0
    publications: int = 0
    message_ids: int = 0
    trimmed: int = 0
    """Publications that went because their stream had reached its size."""


def append(
    connection: sqlite3.Connection, batch: Sequence[NewPublication], now: int, window: int, new_epoch: NewEpoch
) -> tuple[list[Appended], Growth]:
    """Append a batch as ``Store.append`` promises. Raises sqlite3.Error."""
    with transaction(connection):
        work = _Append(connection, now, window, new_epoch)
        results = [work.add(item) for item in batch]
        work.write()
    return results, work.growth


class _Append:
    """One append: decides offsets item by item, then writes everything at once."""

    def __init__(self, connection: sqlite3.Connection, now: int, window: int, new_epoch: NewEpoch) -> None:
        self._connection, self._now, self._new_epoch = connection, now, new_epoch
        self._age = advance_age(connection, now)
        self._forgotten = self._age - window
        self._streams: dict[str, StreamRow] = {}
        self._last: dict[str, NewPublication] = {}
        self._stored_now: dict[tuple[int, str], Appended] = {}
        self._publications: list[tuple[Any, ...]] = []
        self._message_ids: list[tuple[int, str, int, int, int]] = []
        self.growth = Growth()

    def add(self, item: NewPublication) -> Appended:
        """Find an item's place: its old one, or the next."""
        stream = self._streams.get(item.channel) or self._stream_of(item)
        if item.message_id is not None:
            duplicate = self._stored_before(stream, item, item.message_id)
            if duplicate is not None:
                return duplicate
        stream.top += 1
        stream.expires = max(stream.expires, self._now + item.retention.ttl)
        self._last[item.channel] = item
        self._publications.append((stream.id, stream.top, self._now, stream.expires, *content_row(item.content)))
        appended = Appended(stream.epoch, stream.top, self._now, item.content)
        if item.message_id is not None:
            self._message_ids.append((stream.id, item.message_id, stream.top, self._now, self._age))
            self._stored_now[stream.id, item.message_id] = appended
        return appended

    def write(self) -> None:
        """Write what ``add`` decided, and trim the streams to their size."""
        self._connection.executemany(_INSERT_PUBLICATION, self._publications)
        self._connection.executemany(_INSERT_MESSAGE_ID, self._message_ids)
        for channel, item in self._last.items():
            stream, retention = self._streams[channel], item.retention
            dies = max(self._now + retention.meta_ttl, stream.expires)
            self._connection.execute(_UPDATE_STREAM, (stream.top, stream.expires, dies, stream.id))
            if stream.top > retention.size:
                bound = len(self._publications) + _SURPLUS_TRIMMED
                trimmed = self._connection.execute(_TRIM_TO_SIZE, (stream.id, stream.top - retention.size, bound))
                self.growth.trimmed += trimmed.rowcount
        self.growth.publications += len(self._publications) - self.growth.trimmed
        self.growth.message_ids += len(self._message_ids)

    def _stream_of(self, item: NewPublication) -> StreamRow:
        stream = find_stream(self._connection, item.channel, self._now)
        if stream is None:
            stream, replaced = begin_stream(self._connection, item.channel, item.retention, self._now, self._new_epoch)
            self.growth.streams += not replaced
        self._streams[item.channel] = stream
        return stream

    def _stored_before(self, stream: StreamRow, item: NewPublication, message_id: str) -> Appended | None:
        just_now = self._stored_now.get((stream.id, message_id))
        if just_now is not None:
            return replace(just_now, duplicate=True)
        if stream.began:
            return None
        known = self._connection.execute(_FIND_MESSAGE_ID, (stream.id, message_id)).fetchone()
        if known is None:
            return None
        offset, time, age = known
        if age <= self._forgotten:
            self.growth.message_ids -= 1  # its row will be replaced
            return None
        row = self._connection.execute(_FIND_CONTENT, (stream.id, offset)).fetchone()
        content = item.content if row is None else content_of(row)
        return Appended(stream.epoch, offset, time, content, duplicate=True)
