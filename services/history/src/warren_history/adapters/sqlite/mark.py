"""The mark beside a store file, by which an older copy of the store is told from the store.

A backup that is put back would give out offsets again, under the same epochs, that clients have seen; who
comes back would be told that nothing was missed. So the store's age (see ``clock``) is also noted in a small
file of its own, after each append: a store that is younger than its mark, or has lost it, is an older copy.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Final

SUFFIX: Final = "-mark"
_DIGITS: Final = 20
_OWNER_ONLY: Final = 0o600
_IS_MARKED: Final = 1
"""``user_version`` of a store that has a mark; of one that an earlier version made, 0."""


class Mark:
    """The mark of one store. Of several processes, each has one."""

    def __init__(self, store: Path) -> None:
        self._path = Path(f"{store}{SUFFIX}")
        self._file: int | None = None

    def shows_older_copy(self, connection: sqlite3.Connection) -> bool:
        """Whether the store was younger before. Raises sqlite3.Error."""
        # First the mark: another process may be using the store, and the mark is what follows.
        marked = self._read()
        (is_marked,) = connection.execute("PRAGMA user_version").fetchone()
        return bool(is_marked) and (marked is None or _age(connection) < marked)

    def set(self, connection: sqlite3.Connection) -> None:
        """Make the mark if there is none, and keep it from now on. Raises OSError and sqlite3.Error."""
        self._file = os.open(self._path, os.O_CREAT | os.O_RDWR, _OWNER_ONLY)
        self.follow(connection)
        # From here on it is overwritten in place: a power cut leaves the old or the new number.
        os.fsync(self._file)
        connection.execute(f"PRAGMA user_version = {_IS_MARKED}")

    def follow(self, connection: sqlite3.Connection) -> None:
        """Note the store's age after an append. A disk that refuses makes the mark older than it could be."""
        if self._file is not None:
            with suppress(OSError):
                os.pwrite(self._file, b"%0*d\n" % (_DIGITS, _age(connection)), 0)

    def close(self) -> None:
        """Let go of the file; it stays."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _read(self) -> int | None:
        try:
            return int(self._path.read_bytes())
        except (OSError, ValueError):
            return None


def _age(connection: sqlite3.Connection) -> int:
    (age,) = connection.execute("SELECT age FROM clock").fetchone()
    return int(age)
