"""Removing what a channel holds, a slice at a time, and giving streams new epochs."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Final

from warren_history.adapters.sqlite.connection import transaction
from warren_history.adapters.sqlite.streams import NewEpoch

SLICE: Final = 1000

_TOP: Final = "SELECT id, top FROM streams WHERE channel = ?"
_REMOVE: Final = (
    "DELETE FROM publications WHERE id IN "
    '(SELECT id FROM publications WHERE stream = ? AND "offset" <= ? ORDER BY "offset" LIMIT ?)'
)


@dataclass(frozen=True, slots=True)
class Removal:
    """What is to be removed: everything of one incarnation of a stream up to an offset."""

    stream: int
    until: int


def find_removal(connection: sqlite3.Connection, channel: str) -> Removal | None:
    """Return the removal of all a channel holds now; None if it has no stream. Raises sqlite3.Error."""
    row = connection.execute(_TOP, (channel,)).fetchone()
    return None if row is None else Removal(*row)


def remove_slice(connection: sqlite3.Connection, removal: Removal) -> int:
    """Remove the oldest, at most SLICE, and return how many; fewer than that are the last. Raises sqlite3.Error."""
    with transaction(connection):
        return connection.execute(_REMOVE, (removal.stream, removal.until, SLICE)).rowcount


def renew_epochs(connection: sqlite3.Connection, new_epoch: NewEpoch) -> int:
    """Give every stream another epoch. Raises sqlite3.Error."""
    connection.create_function("new_epoch", 0, new_epoch)
    with transaction(connection):
        return connection.execute("UPDATE streams SET epoch = new_epoch()").rowcount
