"""The SQLite store keeps the store's promises, and those of a file."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from warren_history.adapters.sqlite.connection import Synchronous
from warren_history.adapters.sqlite.schema import MIGRATIONS
from warren_history.adapters.sqlite_store import SqliteOptions, SqliteStore
from warren_history.domain.publications import Content, NewPublication, Retention
from warren_history.ports import Store, StoreUnavailableError, StoreUnusableError

from .store_behaviour import DAY, HOUR, T0, WINDOW, StoreBehaviour, Trimming, append_texts, new, offsets, plan, texts

OPTIONS = SqliteOptions(synchronous=Synchronous.NORMAL, idempotency_window=WINDOW)
"""Without flushes to the disk: only a power cut would tell the difference."""


def _mode(file: str) -> int:
    return stat.S_IMODE(os.stat(file).st_mode)  # noqa: PTH116 - not in an async function's way


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "history.sqlite3"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    store = await SqliteStore.open(path, OPTIONS)
    yield store
    await store.close()


class TestSqliteStore(StoreBehaviour, Trimming):
    @pytest.fixture
    def store(self, store: SqliteStore) -> Store:
        return store


async def test_everything_is_there_after_reopening(store: SqliteStore, path: Path) -> None:
    (first,) = await store.append([new("a", message_id="m1")], now=T0)
    quiet = await store.read(plan("chat:quiet"), now=T0)
    size = store.size()
    await store.close()

    reopened = await SqliteStore.open(path, OPTIONS)
    try:
        assert (reopened.size().streams, reopened.size().publications, reopened.size().message_ids) == (2, 1, 1)
        assert (size.streams, size.publications, size.message_ids) == (2, 1, 1)
        assert (await reopened.read(plan("chat:quiet"), now=T0)).epoch == quiet.epoch
        again, after = await reopened.append([new("a", message_id="m1"), new("b")], now=T0 + 1)
        assert (again.offset, again.epoch, again.duplicate) == (1, first.epoch, True)
        assert (after.offset, after.epoch) == (2, first.epoch)
    finally:
        await reopened.close()


async def test_a_message_id_is_known_after_an_outage_longer_than_the_window(store: SqliteStore, path: Path) -> None:
    (first,) = await store.append([new("a", message_id="m1")], now=T0)
    await store.close()
    reopened = await SqliteStore.open(path, OPTIONS)
    try:
        outage = T0 + 5 * WINDOW
        await reopened.trim(now=outage, limit=100)
        (again,) = await reopened.append([new("a", message_id="m1")], now=outage)
        assert (again.offset, again.epoch, again.duplicate) == (first.offset, first.epoch, True)
    finally:
        await reopened.close()


async def test_two_processes_never_give_an_offset_twice(store: SqliteStore, path: Path) -> None:
    zombie = await SqliteStore.open(path, OPTIONS)
    try:
        batches = await asyncio.gather(
            *(
                (store, zombie)[turn % 2].append([new(f"{turn}-{item}") for item in range(5)], now=T0)
                for turn in range(20)
            )
        )
        assert sorted(item.offset for batch in batches for item in batch) == list(range(1, 101))
        for batch in batches:
            assert [item.offset for item in batch] == list(range(batch[0].offset, batch[0].offset + 5))
        (known,) = await store.append([new("a", message_id="m1")], now=T0)
        (again,) = await zombie.append([new("a", message_id="m1")], now=T0)
        assert (again.offset, again.duplicate) == (known.offset, True)
    finally:
        await zombie.close()


async def test_reads_do_not_wait_for_a_writer(store: SqliteStore, path: Path) -> None:
    await append_texts(store, "a")
    other = sqlite3.connect(path, isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        page = await asyncio.wait_for(store.read(plan(), now=T0), timeout=2)
        assert texts(page) == ["a"]
    finally:
        other.close()


async def test_a_locked_store_is_unavailable_and_recovers(path: Path) -> None:
    store = await SqliteStore.open(path, SqliteOptions(deadline=0.1))
    other = sqlite3.connect(path, isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailableError):
            await store.append([new("a", message_id="m1")], now=T0)
        assert not store.healthy
        other.execute("ROLLBACK")
        async with asyncio.timeout(10):
            while True:
                try:
                    (appended,) = await store.append([new("a", message_id="m1")], now=T0)
                    break
                except StoreUnavailableError:
                    continue
        assert appended.offset == 1
        assert store.healthy
    finally:
        other.close()
        await store.close()


async def test_a_failing_batch_leaves_nothing_behind(store: SqliteStore, path: Path) -> None:
    await append_texts(store, "a")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute(
        "CREATE TRIGGER refuse BEFORE INSERT ON message_ids WHEN NEW.message_id = 'bad' "
        "BEGIN SELECT RAISE(ABORT, 'refused'); END"
    )
    with pytest.raises(sqlite3.IntegrityError, match="refused"):
        await store.append([new("b", message_id="m1"), new("c", message_id="bad")], now=T0)
    other.execute("DROP TRIGGER refuse")
    other.close()
    (first, second) = await store.append([new("b", message_id="m1"), new("c", message_id="bad")], now=T0)
    assert (first.offset, first.duplicate, second.offset) == (2, False, 3)
    assert texts(await store.read(plan(), now=T0)) == ["a", "b", "c"]
    assert store.size().publications == 3


async def test_appends_that_wait_share_a_commit_and_each_gets_its_own_results(store: SqliteStore) -> None:
    statements: list[str] = []
    store._writer.set_trace_callback(statements.append)
    async with _writer_held(store):
        waiting = [asyncio.ensure_future(store.append([new(f"{turn}"), new("x")], now=T0)) for turn in range(5)]
        await asyncio.sleep(0)
    results = await asyncio.gather(*waiting)
    assert statements.count("COMMIT") == 1
    assert [[item.offset for item in batch] for batch in results] == [[1, 2], [3, 4], [5, 6], [7, 8], [9, 10]]
    assert [batch[0].content.data for batch in results] == [f'"{turn}"'.encode() for turn in range(5)]


async def test_an_append_cancelled_while_it_waits_is_not_done_later(store: SqliteStore) -> None:
    async with _writer_held(store):
        cancelled, kept = (asyncio.ensure_future(store.append([new(text)], now=T0)) for text in "ab")
        await asyncio.sleep(0)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
    (result,) = await kept
    assert result.offset == 1
    assert texts(await store.read(plan(), now=T0)) == ["b"]


async def test_when_a_shared_commit_fails_every_append_in_it_fails(store: SqliteStore, path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("ALTER TABLE publications RENAME TO away")
    async with _writer_held(store):
        waiting = [asyncio.ensure_future(store.append([new(text)], now=T0)) for text in "ab"]
        await asyncio.sleep(0)
    for result in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(result, StoreUnavailableError)
    other.execute("ALTER TABLE away RENAME TO publications")
    other.close()
    assert [item.offset for item in await append_texts(store, "a", "b")] == [1, 2]


async def test_what_cannot_be_stored_fails_alone_and_is_told_from_a_store_that_is_away(store: SqliteStore) -> None:
    for_ever = NewPublication("chat:room", Content(b"1"), Retention(10, 10**30, 10**30))
    async with _writer_held(store):
        waiting = [asyncio.ensure_future(store.append([item], now=T0)) for item in (new("a"), for_ever, new("b"))]
        await asyncio.sleep(0)
    first, mistake, last = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(mistake, OverflowError)
    assert [item.offset for result in (first, last) if isinstance(result, list) for item in result] == [1, 2]
    assert store.healthy


@asynccontextmanager
async def _writer_held(store: SqliteStore) -> AsyncIterator[None]:
    """Keep the writing thread busy for the block's time."""
    free = threading.Event()
    held = store._write_thread.submit(free.wait, 10)
    try:
        yield
    finally:
        free.set()
        assert await asyncio.wrap_future(held)


async def test_many_first_reads_at_once_share_commits_and_get_one_epoch_each(store: SqliteStore) -> None:
    channels = [f"chat:{number % 50}" for number in range(200)]
    pages = await asyncio.gather(*(store.read(plan(channel), now=T0) for channel in channels))
    epochs = {(channel, page.epoch) for channel, page in zip(channels, pages, strict=True)}
    assert len(epochs) == 50
    assert store.size().streams == 50


async def test_a_read_sees_one_moment_while_appends_go_on(store: SqliteStore) -> None:
    keep = Retention(size=10, ttl=HOUR, meta_ttl=DAY)

    async def write() -> None:
        for turn in range(60):
            await append_texts(store, f"{turn}", f"{turn}", keep=keep)

    async def watch() -> None:
        while not writing.done():
            page = await store.read(plan(keep=keep), now=T0)
            assert offsets(page) == list(range(max(1, page.top - 9), page.top + 1))

    async with asyncio.TaskGroup() as group:
        writing = group.create_task(write())
        for _ in range(3):
            group.create_task(watch())


async def test_the_file_is_the_owners_alone(store: SqliteStore, path: Path) -> None:
    await append_texts(store, "a")
    assert [_mode(file) for file in (str(path), f"{path}-wal", f"{path}-shm", f"{path}-mark")] == [0o600] * 4
    assert store.size().bytes > 0


async def test_full_synchronous_is_what_a_store_has_unless_told(path: Path) -> None:
    store = await SqliteStore.open(path)
    try:
        assert store._writer.execute("PRAGMA synchronous").fetchone() == (2,)
        assert store._writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    finally:
        await store.close()


async def test_a_new_file_has_the_newest_version_and_opening_again_keeps_it(store: SqliteStore, path: Path) -> None:
    await store.close()
    await (await SqliteStore.open(path, OPTIONS)).close()
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT version FROM schema_version").fetchall() == [(len(MIGRATIONS),)]
    connection.close()


async def test_a_file_of_the_first_version_becomes_one_of_the_newest_with_all_it_holds(
    store: SqliteStore, path: Path
) -> None:
    (first,) = await append_texts(store, "a")
    await store.close()
    connection = sqlite3.connect(path)
    connection.executescript("DROP TABLE trials; UPDATE schema_version SET version = 1")
    connection.close()
    reopened = await SqliteStore.open(path, OPTIONS)
    try:
        assert await reopened.begin_trial("q.0", "a") == 1
        page = await reopened.read(plan(), now=T0)
        assert (page.epoch, texts(page)) == (first.epoch, ["a"])
    finally:
        await reopened.close()


async def test_a_file_of_a_newer_version_is_refused(store: SqliteStore, path: Path) -> None:
    await store.close()
    connection = sqlite3.connect(path)
    connection.execute("UPDATE schema_version SET version = 99")
    connection.commit()
    connection.close()
    with pytest.raises(StoreUnusableError, match=r"history\.sqlite3: the store has version 99"):
        await SqliteStore.open(path, OPTIONS)


async def test_somebody_elses_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite3"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE things (name TEXT)")
    connection.commit()
    with pytest.raises(StoreUnusableError, match="no history store"):
        await SqliteStore.open(path, OPTIONS)
    assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("things",)]
    connection.close()


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(b"these are notes, not a database" * 100)
    with pytest.raises(StoreUnusableError, match=r"notes\.txt"):
        await SqliteStore.open(path, OPTIONS)


async def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnusableError, match="cannot write it"):
        await SqliteStore.open(tmp_path / "file" / "history.sqlite3", OPTIONS)
    with pytest.raises(StoreUnusableError, match="cannot write it"):
        await SqliteStore.open(tmp_path, OPTIONS)
