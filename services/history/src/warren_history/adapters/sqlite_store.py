"""The store in one SQLite file: one thread writes, others read beside it.

SQLite allows one writer at a time and, in WAL mode, any number of readers that do not wait for it.
Appends go through one thread in the order of the calls; reads have threads and connections of
their own, each seeing every commit that returned before it began.
"""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Final, TypeVar

import structlog

from warren_history.adapters.sqlite.appending import append
from warren_history.adapters.sqlite.connection import Synchronous, open_reader, open_writer
from warren_history.adapters.sqlite.mark import Mark
from warren_history.adapters.sqlite.reading import read
from warren_history.adapters.sqlite.removing import SLICE, Removal, find_removal, remove_slice, renew_epochs
from warren_history.adapters.sqlite.schema import migrate
from warren_history.adapters.sqlite.streams import NewEpoch, open_streams
from warren_history.adapters.sqlite.trials import begin_trial, end_trial
from warren_history.adapters.sqlite.trimming import trim
from warren_history.domain.publications import (
    Appended,
    NewPublication,
    ReadPlan,
    Retention,
    StoreSize,
    StreamPage,
    Trimmed,
)
from warren_history.ports import StoreUnavailableError, StoreUnusableError

_READ_ATTEMPTS: Final = 3
_EPOCH_BYTES: Final = 9
_MISTAKES: Final = (
    sqlite3.DataError,
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.NotSupportedError,
    sqlite3.ProgrammingError,
)
"""What will not pass: it is about what was to be stored, not about disk or locks."""

T = TypeVar("T")
_log = structlog.get_logger()


def _random_epoch() -> str:
    return secrets.token_urlsafe(_EPOCH_BYTES)


@dataclass(frozen=True, slots=True)
class SqliteOptions:
    """How a store file is used."""

    synchronous: Synchronous = Synchronous.FULL
    idempotency_window: int = 3_600_000
    """Milliseconds."""
    readers: int = 2
    """Reads at the same time."""
    deadline: float = 10.0
    """Seconds after which a call gives up waiting."""
    new_epoch: NewEpoch = _random_epoch


@dataclass(slots=True)
class _Rows:
    streams: int
    publications: int
    message_ids: int


@dataclass(frozen=True, slots=True)
class _Connections:
    writer: sqlite3.Connection
    readers: tuple[sqlite3.Connection, ...]
    rows: _Rows
    mark: Mark


@dataclass(slots=True, eq=False)
class _AppendRequest:
    batch: Sequence[NewPublication]
    now: int
    taken: bool = False
    """Whether the writing thread has begun with it."""
    results: Sequence[Appended] = ()
    error: Exception | None = None


class SqliteStore:
    """Implements warren_history.ports.Store."""

    def __init__(self, path: Path, options: SqliteOptions, connections: _Connections) -> None:
        """Take over open connections; call ``open`` instead."""
        self._path, self._options = path, options
        self._connections, self._writer, self._rows = connections, connections.writer, connections.rows
        self._idle_readers: SimpleQueue[sqlite3.Connection] = SimpleQueue()
        for reader in connections.readers:
            self._idle_readers.put(reader)
        self._write_thread = ThreadPoolExecutor(1, "history-write")
        self._read_threads = ThreadPoolExecutor(len(connections.readers), "history-read")
        self._appends: list[_AppendRequest] = []
        self._appends_lock = threading.Lock()
        self._wanted: dict[str, Retention] = {}
        self._opening = asyncio.Lock()
        self._closed = False
        self._failing = False

    @classmethod
    async def open(cls, path: Path, options: SqliteOptions | None = None) -> SqliteStore:
        """Open the store file, making or migrating it if need be. Raises StoreUnusableError.

        The streams of an older copy of the store get new epochs.
        """
        options = options or SqliteOptions()
        try:
            return cls(path, options, await asyncio.to_thread(_open, path, options))
        except (StoreUnusableError, sqlite3.Error, OSError) as error:
            raise StoreUnusableError(f"store {path}: {error}") from error

    async def append(self, batch: Sequence[NewPublication], *, now: int) -> Sequence[Appended]:
        """See the port."""
        request = _AppendRequest(batch, now)
        with self._appends_lock:
            self._appends.append(request)
        try:
            return await self._call(self._write_thread, partial(self._append, request))
        finally:
            with self._appends_lock:
                if not request.taken:
                    self._appends.remove(request)

    async def read(self, plan: ReadPlan, *, now: int) -> StreamPage:
        """See the port."""
        for _ in range(_READ_ATTEMPTS):
            page = await self._call(self._read_threads, partial(self._read, plan, now))
            if page is not None:
                return page
            await self._open_stream(plan, now)
        raise StoreUnavailableError("the stream could not be begun")

    async def remove(self, channel: str) -> int:
        """See the port."""
        removal = await self._call(self._write_thread, partial(find_removal, self._writer, channel))
        removed, last = 0, SLICE
        while removal is not None and last == SLICE:
            last = await self._call(self._write_thread, partial(self._remove, removal))
            removed += last
        return removed

    async def renew_epochs(self) -> int:
        """See the port."""
        return await self._call(self._write_thread, partial(renew_epochs, self._writer, self._options.new_epoch))

    async def trim(self, *, now: int, limit: int) -> Trimmed:
        """See the port."""
        return await self._call(self._write_thread, partial(self._trim, now, limit))

    async def begin_trial(self, queue: str, delivery: str) -> int:
        """See the port."""
        return await self._call(self._write_thread, partial(begin_trial, self._writer, queue, delivery))

    async def end_trial(self, queue: str) -> None:
        """See the port."""
        await self._call(self._write_thread, partial(end_trial, self._writer, queue))

    def size(self) -> StoreSize:
        """See the port."""
        size = 0
        for suffix in ("", "-wal"):
            with suppress(OSError):
                size += Path(f"{self._path}{suffix}").stat().st_size
        return StoreSize(self._rows.streams, self._rows.publications, self._rows.message_ids, size)

    @property
    def healthy(self) -> bool:
        """See the port."""
        return not self._closed and not self._failing

    async def close(self) -> None:
        """See the port."""
        if not self._closed:
            self._closed = True
            await asyncio.to_thread(self._shut_down)

    async def _open_stream(self, plan: ReadPlan, now: int) -> None:
        # A commit costs a disk flush. Those who ask while one is under way share the next.
        self._wanted[plan.channel] = plan.retention
        async with self._opening:
            if plan.channel not in self._wanted:
                return
            wanted, self._wanted = self._wanted, {}
            await self._call(self._write_thread, partial(self._begin_or_renew, wanted, now))

    async def _call(self, threads: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        if self._closed:
            raise StoreUnavailableError("the store is closed")
        try:
            async with asyncio.timeout(self._options.deadline):
                result = await asyncio.get_running_loop().run_in_executor(threads, work)
        except TimeoutError as error:
            self._failing = True
            raise StoreUnavailableError(f"no answer within {self._options.deadline} s") from error
        except _MISTAKES:
            raise
        except sqlite3.Error as error:
            self._failing = True
            raise StoreUnavailableError(str(error)) from error
        self._failing = False
        return result

    # What follows runs in the store's threads; the rows are counted by the one that writes.

    def _append(self, request: _AppendRequest) -> Sequence[Appended]:
        # Whatever waits by now, of all partitions, shares one transaction and one disk flush. Calls
        # run in their order: when this one's turn comes, an earlier one may have done its work.
        if not request.taken:
            with self._appends_lock:
                together, self._appends = self._appends, []
                for waiting in together:
                    waiting.taken = True
            _run_together(together, self._append_batch)
        if request.error is not None:
            raise request.error
        return request.results

    def _append_batch(self, batch: Sequence[NewPublication], now: int) -> Sequence[Appended]:
        results, growth = append(self._writer, batch, now, self._options.idempotency_window, self._options.new_epoch)
        self._rows.streams += growth.streams
        self._rows.publications += growth.publications
        self._rows.message_ids += growth.message_ids
        self._connections.mark.follow(self._writer)
        return results

    def _trim(self, now: int, limit: int) -> Trimmed:
        trimmed = trim(self._writer, now, self._options.idempotency_window, limit)
        self._rows.streams -= trimmed.streams
        self._rows.publications -= trimmed.publications
        self._rows.message_ids -= trimmed.message_ids
        return trimmed

    def _remove(self, removal: Removal) -> int:
        removed = remove_slice(self._writer, removal)
        self._rows.publications -= removed
        return removed

    def _begin_or_renew(self, wanted: Mapping[str, Retention], now: int) -> None:
        self._rows.streams += open_streams(self._writer, wanted, now, self._options.new_epoch)

    def _read(self, plan: ReadPlan, now: int) -> StreamPage | None:
        connection = self._idle_readers.get_nowait()  # as many connections as threads
        try:
            return read(connection, plan, now)
        finally:
            self._idle_readers.put(connection)

    def _shut_down(self) -> None:
        self._write_thread.shutdown()
        self._read_threads.shutdown()
        for connection in (*self._connections.readers, self._writer):
            connection.close()
        self._connections.mark.close()


def _open(path: Path, options: SqliteOptions) -> _Connections:
    with ExitStack() as opened:
        writer = open_writer(path, options.synchronous)
        opened.callback(writer.close)
        migrate(writer)
        mark = Mark(path)
        opened.callback(mark.close)
        if mark.shows_older_copy(writer):
            streams = renew_epochs(writer, options.new_epoch)
            _log.warning("store_is_older_copy", streams=streams)
        mark.set(writer)
        rows = _Rows(*(_count(writer, table) for table in ("streams", "publications", "message_ids")))
        readers = []
        for _ in range(options.readers):
            readers.append(open_reader(path))
            opened.callback(readers[-1].close)
        opened.pop_all()
    return _Connections(writer, tuple(readers), rows, mark)


def _run_together(
    requests: Sequence[_AppendRequest], run: Callable[[Sequence[NewPublication], int], Sequence[Appended]]
) -> None:
    batch = [item for request in requests for item in request.batch]
    try:
        results = run(batch, max(request.now for request in requests))
    except Exception as error:  # noqa: BLE001 - each caller raises it
        passing = isinstance(error, sqlite3.Error) and not isinstance(error, _MISTAKES)
        if len(requests) > 1 and not passing:
            # One partition's publication must not be another's failure.
            for request in requests:
                _run_together([request], run)
            return
        for request in requests:
            request.error = error
        return
    start = 0
    for request in requests:
        end = start + len(request.batch)
        request.results, start = results[start:end], end


def _count(connection: sqlite3.Connection, table: str) -> int:
    (count,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 - own table names
    return int(count)
