"""Connections to the store file, and transactions on them."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Final

from warren_history.ports import StoreUnusableError

LOCK_WAIT_SECONDS: Final = 5.0
"""How long an operation waits for another process that writes."""

_CACHE_KIB: Final = 16_384
_WAL_KEPT_BYTES: Final = 64 * 1024 * 1024
_OWNER_ONLY: Final = 0o600


class Synchronous(StrEnum):
    """What a commit waits for (SQLite: PRAGMA synchronous).

    In WAL mode every commit survives the death of the process. FULL also has the disk confirm the
    log before a commit returns: only then may the broker be told that a publication is safe, and
    only then can no power cut take back an offset that clients have seen. It costs one fsync for
    each batch. NORMAL saves that, and a power cut may take the last commits along.
    """

    FULL = "full"
    NORMAL = "normal"


def open_writer(path: Path, synchronous: Synchronous) -> sqlite3.Connection:
    """Open the store file for writing, making it if need be.

    Raises StoreUnusableError, or sqlite3.Error.
    """
    _make_file(path)
    connection = _connect(path)
    try:
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise StoreUnusableError("the file system cannot hold a write-ahead log: use a local disk")
        connection.execute(f"PRAGMA synchronous = {synchronous.value}")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        connection.execute(f"PRAGMA journal_size_limit = {_WAL_KEPT_BYTES}")
    except BaseException:
        connection.close()
        raise
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """Open the store file for reading. Raises sqlite3.Error."""
    connection = _connect(path)
    connection.execute("PRAGMA query_only = ON")
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Write in one transaction, which holds the file's write lock from the start."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        _roll_back(connection)
        raise


@contextmanager
def snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """Read from one state of the file, unmoved by what is written meanwhile."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        _roll_back(connection)


def _roll_back(connection: sqlite3.Connection) -> None:
    # Some failures (a full disk) have ended the transaction already.
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def _connect(path: Path) -> sqlite3.Connection:
    # A connection is opened, used and closed by different threads, but by one at a time.
    return sqlite3.connect(path, timeout=LOCK_WAIT_SECONDS, isolation_level=None, check_same_thread=False)


def _make_file(path: Path) -> None:
    # Publications are nobody else's business; SQLite gives its -wal and -shm files the same mode.
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, _OWNER_ONLY))
    except OSError as error:
        raise StoreUnusableError(f"cannot write it: {error.strerror}") from error
