"""The PostgreSQL store keeps the store's promises, and those of a database that several processes share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import asyncpg
import pytest

from warren_history.adapters.postgres.schema import MIGRATIONS
from warren_history.adapters.postgres_store import PostgresOptions, PostgresStore
from warren_history.domain.publications import Content, NewPublication, Retention
from warren_history.ports import Store, StoreUnavailableError, StoreUnusableError

from .databases import OPTIONS
from .store_behaviour import DAY, HOUR, T0, WINDOW, StoreBehaviour, Trimming, append_texts, new, offsets, plan, texts

pytestmark = pytest.mark.postgres


@pytest.fixture
async def store(database: str) -> AsyncIterator[PostgresStore]:
    store = await PostgresStore.open(database, OPTIONS)
    yield store
    await store.close()


@pytest.fixture
async def other(database: str) -> AsyncIterator[asyncpg.Connection]:
    """Somebody else's connection."""
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


class TestPostgresStore(StoreBehaviour, Trimming):
    @pytest.fixture
    def store(self, store: PostgresStore) -> Store:
        return store


@asynccontextmanager
async def _stream_held(other: asyncpg.Connection, channel: str = "chat:room") -> AsyncIterator[None]:
    """Have another process hold a stream for the block's time, as an append does."""
    async with other.transaction():
        await other.execute("SELECT FROM warren_history.streams WHERE channel = $1 FOR UPDATE", channel)
        yield


async def test_everything_is_there_after_reopening(store: PostgresStore, database: str) -> None:
    (first,) = await store.append([new("a", message_id="m1")], now=T0)
    quiet = await store.read(plan("chat:quiet"), now=T0)
    await store.close()

    reopened = await PostgresStore.open(database, OPTIONS)
    try:
        size = reopened.size()
        assert (size.streams, size.publications, size.message_ids) == (2, 1, 1)
        assert size.bytes > 0
        assert (await reopened.read(plan("chat:quiet"), now=T0)).epoch == quiet.epoch
        again, after = await reopened.append([new("a", message_id="m1"), new("b")], now=T0 + 1)
        assert (again.offset, again.epoch, again.duplicate) == (1, first.epoch, True)
        assert (after.offset, after.epoch) == (2, first.epoch)
    finally:
        await reopened.close()


async def test_text_that_postgresql_cannot_hold_as_text_is_kept_all_the_same(store: PostgresStore) -> None:
    content = Content(b"1", content_type="a\x00b", tags={"k": "\x00"})
    item = NewPublication("chat:room", content, Retention(10, HOUR, DAY), "m\x00")
    await store.append([item], now=T0)
    (again,) = await store.append([item], now=T0)
    assert (again.duplicate, again.content) == (True, content)


async def test_an_append_is_one_statement_however_many_channels_and_publications(
    store: PostgresStore, other: asyncpg.Connection
) -> None:
    await append_texts(store, "first")
    queries: list[object] = []
    (connection,) = store._appending._idle
    connection.add_query_logger(queries.append)
    for count in (1, 50, 500):
        await store.append([new("x", channel=f"chat:{number % 70}") for number in range(count)], now=T0)
    assert len(queries) == 3
    assert await other.fetchval("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'warren-history'") == 2


async def test_reads_do_not_wait_for_appends(store: PostgresStore, other: asyncpg.Connection) -> None:
    await append_texts(store, "a")
    async with _stream_held(other):
        page = await asyncio.wait_for(store.read(plan(), now=T0), timeout=2)
    assert texts(page) == ["a"]


async def test_trimming_does_not_wait_for_appends_nor_they_for_it(
    store: PostgresStore, other: asyncpg.Connection
) -> None:
    keep = Retention(size=2, ttl=1000, meta_ttl=2000)
    await append_texts(store, *"abc", keep=keep)
    await append_texts(store, "d", channel="chat:other", keep=keep)
    async with _stream_held(other):
        trimmed = await asyncio.wait_for(store.trim(now=T0 + 2000, limit=100), timeout=2)
        assert (trimmed.publications, trimmed.streams) == (3, 1)
    await append_texts(store, *"ab", channel="chat:third", keep=keep)
    async with other.transaction():  # as a slice of trimming that has not ended
        await other.execute("DELETE FROM warren_history.publications")
        appended = await asyncio.wait_for(append_texts(store, *"cde", channel="chat:third", keep=keep), timeout=2)
    assert [item.offset for item in appended] == [3, 4, 5]
    assert offsets(await store.read(plan("chat:third", keep=keep), now=T0)) == [4, 5]


async def test_one_process_trims_at_a_time(store: PostgresStore, other: asyncpg.Connection) -> None:
    await append_texts(store, "a")
    async with other.transaction():
        await other.execute("SELECT pg_advisory_xact_lock(hashtext('warren_history'), 2)")
        trimmed = await asyncio.wait_for(store.trim(now=T0 + HOUR, limit=100), timeout=2)
        assert (trimmed.publications, trimmed.more) == (0, False)
    assert (await store.trim(now=T0 + HOUR, limit=100)).publications == 1


async def test_a_held_stream_is_unavailable_and_recovers(database: str, other: asyncpg.Connection) -> None:
    store = await PostgresStore.open(database, replace(OPTIONS, deadline=0.5))
    try:
        await append_texts(store, "a")
        async with _stream_held(other):
            with pytest.raises(StoreUnavailableError):
                await store.append([new("b", message_id="m1")], now=T0)
            assert not store.healthy
        async with asyncio.timeout(10):
            while True:
                try:
                    (appended,) = await store.append([new("b", message_id="m1")], now=T0)
                    break
                except StoreUnavailableError:
                    continue
        assert appended.offset == 2
        assert store.healthy
    finally:
        await store.close()


async def test_a_failing_batch_leaves_nothing_behind(store: PostgresStore, other: asyncpg.Connection) -> None:
    await append_texts(store, "a")
    await other.execute("ALTER TABLE warren_history.message_ids ADD CONSTRAINT refuse CHECK (message_id <> 'bad')")
    with pytest.raises(asyncpg.CheckViolationError):
        await store.append([new("b", message_id="m1"), new("c", message_id="bad")], now=T0)
    await other.execute("ALTER TABLE warren_history.message_ids DROP CONSTRAINT refuse")
    (first, second) = await store.append([new("b", message_id="m1"), new("c", message_id="bad")], now=T0)
    assert (first.offset, first.duplicate, second.offset) == (2, False, 3)
    assert texts(await store.read(plan(), now=T0)) == ["a", "b", "c"]
    assert store.size().publications == 3


async def test_appends_that_wait_go_together_and_each_gets_its_own_results(
    store: PostgresStore, other: asyncpg.Connection
) -> None:
    await append_texts(store, "0")
    queries: list[object] = []
    (connection,) = store._appending._idle
    connection.add_query_logger(queries.append)
    async with _stream_held(other):
        waiting = [asyncio.ensure_future(store.append([new(f"{turn}"), new("x")], now=T0)) for turn in range(5)]
        await _is_waiting(other)
    results = await asyncio.gather(*waiting)
    assert len(queries) <= 2
    assert [[item.offset for item in batch] for batch in results] == [[2, 3], [4, 5], [6, 7], [8, 9], [10, 11]]
    assert [batch[0].content.data for batch in results] == [f'"{turn}"'.encode() for turn in range(5)]


async def _is_waiting(other: asyncpg.Connection) -> None:
    """Return when the store waits for a lock."""
    async with asyncio.timeout(10):
        while not await other.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"):
            pass


async def test_an_append_cancelled_while_it_waits_is_not_done_later_and_one_that_began_is_done(
    store: PostgresStore, other: asyncpg.Connection
) -> None:
    await append_texts(store, "0")
    async with _stream_held(other):
        begun = asyncio.ensure_future(store.append([new("a")], now=T0))
        await _is_waiting(other)
        cancelled, kept = (asyncio.ensure_future(store.append([new(text)], now=T0)) for text in "bc")
        await asyncio.sleep(0)
        for task in (begun, cancelled):
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
    (result,) = await kept
    assert result.offset == 3
    assert texts(await store.read(plan(), now=T0)) == ["0", "a", "c"]


async def test_appends_go_together_only_as_far_as_one_statement_can_carry_them(
    store: PostgresStore, other: asyncpg.Connection
) -> None:
    await append_texts(store, "0")
    queries: list[object] = []
    (connection,) = store._appending._idle
    connection.add_query_logger(queries.append)
    async with _stream_held(other):
        waiting = [asyncio.ensure_future(store.append([new("x" * 5_000_000)], now=T0)) for _ in range(9)]
        await _is_waiting(other)
    assert [item.offset for batch in await asyncio.gather(*waiting) for item in batch] == list(range(2, 11))
    assert len(queries) >= 3


async def test_when_a_shared_transaction_fails_every_append_in_it_fails(
    store: PostgresStore, other: asyncpg.Connection
) -> None:
    await other.execute("ALTER TABLE warren_history.publications RENAME TO away")
    waiting = [asyncio.ensure_future(store.append([new(text)], now=T0)) for text in "ab"]
    for result in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(result, StoreUnavailableError)
    await other.execute("ALTER TABLE warren_history.away RENAME TO publications")
    assert [item.offset for item in await append_texts(store, "a", "b")] == [1, 2]


async def test_what_cannot_be_stored_fails_alone_and_is_told_from_a_store_that_is_away(store: PostgresStore) -> None:
    for_ever = NewPublication("chat:room", Content(b"1"), Retention(10, 10**30, 10**30))
    too_long = NewPublication("chat:room", Content(b"1"), Retention(10, 2**63 - 1, 2**63 - 1))
    items = (new("a"), for_ever, too_long, new("b", message_id="\ud800"), new("c"))
    waiting = [asyncio.ensure_future(store.append([item], now=T0)) for item in items]
    first, *mistakes, last = await asyncio.gather(*waiting, return_exceptions=True)
    assert not [error for error in mistakes if isinstance(error, StoreUnavailableError)]
    assert all(isinstance(error, Exception) for error in mistakes)
    assert [item.offset for result in (first, last) if isinstance(result, list) for item in result] == [1, 2]
    assert store.healthy


async def test_many_first_reads_at_once_share_transactions_and_get_one_epoch_each(store: PostgresStore) -> None:
    channels = [f"chat:{number % 50}" for number in range(200)]
    pages = await asyncio.gather(*(store.read(plan(channel), now=T0) for channel in channels))
    epochs = {(channel, page.epoch) for channel, page in zip(channels, pages, strict=True)}
    assert len(epochs) == 50
    assert store.size().streams == 50


async def test_trimming_forgets_no_stream_that_was_prolonged(store: PostgresStore) -> None:
    keep = Retention(size=10, ttl=1000, meta_ttl=2000)
    (first,) = await append_texts(store, "a", keep=keep)
    await append_texts(store, "b", now=T0 + 1500, keep=keep)
    assert (await store.trim(now=T0 + 2500, limit=10)).streams == 0
    assert (await store.read(plan(keep=keep, limit=0), now=T0 + 2500)).epoch == first.epoch
    assert (await store.trim(now=T0 + 60_000, limit=10)).streams == 1


async def test_trimming_looks_at_a_stream_that_was_prolonged_once(store: PostgresStore) -> None:
    keep = Retention(size=10, ttl=1000, meta_ttl=2000)
    for now in (T0, T0 + 1500):
        await store.append([new("a", channel=f"chat:{number}", keep=keep) for number in range(2)], now=now)
    more = [(await store.trim(now=T0 + 2400, limit=1)).more for _ in range(3)]
    assert more == [True, True, False]


async def test_message_ids_age_by_the_databases_clock_whatever_the_processes_clocks_say(database: str) -> None:
    options = PostgresOptions(flush=False, idempotency_window=WINDOW)
    ahead, behind = await PostgresStore.open(database, options), await PostgresStore.open(database, options)
    keep = Retention(10, 100 * DAY, 100 * DAY)
    try:
        await ahead.append([new("a", message_id="m1", keep=keep)], now=T0)
        for turn in range(200):
            await ahead.trim(now=T0 + DAY + turn * HOUR, limit=10)
            await behind.trim(now=T0 - DAY, limit=10)
        (again,) = await behind.append([new("a", message_id="m1", keep=keep)], now=T0)
        assert again.duplicate
    finally:
        await ahead.close()
        await behind.close()


async def test_the_clock_is_written_rarely_and_waited_for_by_nobody(database: str, other: asyncpg.Connection) -> None:
    store = await PostgresStore.open(database, PostgresOptions(flush=False))
    try:
        await append_texts(store, "a")
        written = await other.fetchval("SELECT xmin::text FROM warren_history.clock")
        await append_texts(store, "b")
        assert await other.fetchval("SELECT xmin::text FROM warren_history.clock") == written
        await other.execute("UPDATE warren_history.clock SET seen = 0")  # long ago: it is to be written now
        async with other.transaction():
            await other.execute("SELECT FROM warren_history.clock FOR UPDATE")
            await asyncio.wait_for(append_texts(store, "c"), timeout=2)
    finally:
        await store.close()


@pytest.mark.parametrize(("flush", "set_by_server", "expected"), [(True, "off", "on"), (False, "on", "off")])
async def test_a_commit_waits_for_the_disk_unless_the_store_was_told_to_risk_it(
    database: str, other: asyncpg.Connection, flush: bool, set_by_server: str, expected: str
) -> None:
    await (await PostgresStore.open(database, OPTIONS)).close()
    name = database.rpartition("/")[2]
    await other.execute(f"ALTER DATABASE {name} SET synchronous_commit = {set_by_server}")
    store = await PostgresStore.open(database, replace(OPTIONS, flush=flush))
    try:
        await other.execute("CREATE TABLE seen (value text)")
        await other.execute(
            "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN INSERT INTO public.seen VALUES (current_setting('synchronous_commit')); RETURN NULL; END $$"
        )
        await other.execute(
            "CREATE CONSTRAINT TRIGGER note AFTER INSERT ON warren_history.publications "
            "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note()"
        )
        await append_texts(store, "a")
        assert [row["value"] for row in await other.fetch("SELECT value FROM seen")] == [expected]
    finally:
        await store.close()


async def test_processes_that_start_at_once_make_the_tables_once(database: str, other: asyncpg.Connection) -> None:
    stores = await asyncio.gather(*(PostgresStore.open(database, OPTIONS) for _ in range(5)))
    assert all(store.healthy for store in stores)
    assert await other.fetchval("SELECT version FROM warren_history.schema_version") == len(MIGRATIONS)
    for store in stores:
        await store.close()


async def test_a_database_of_the_first_version_becomes_one_of_the_newest_while_a_process_uses_it(
    store: PostgresStore, database: str, other: asyncpg.Connection
) -> None:
    await append_texts(store, "a")
    await other.execute("DROP TABLE warren_history.trials; UPDATE warren_history.schema_version SET version = 1")
    upgraded = await PostgresStore.open(database, OPTIONS)
    try:
        assert await upgraded.begin_trial("q.0", "a") == 1
        assert [item.offset for item in (*await append_texts(store, "b"), *await append_texts(upgraded, "c"))] == [2, 3]
    finally:
        await upgraded.close()


async def test_a_database_of_a_newer_version_is_refused_in_one_line(database: str, other: asyncpg.Connection) -> None:
    await (await PostgresStore.open(database, OPTIONS)).close()
    await other.execute("UPDATE warren_history.schema_version SET version = 99")
    with pytest.raises(StoreUnusableError, match=r"^store postgresql://.+: the store has version 99"):
        await PostgresStore.open(database, OPTIONS)


async def test_a_database_that_cannot_hold_unicode_is_refused(database: str, other: asyncpg.Connection) -> None:
    name = f"{database.rpartition('/')[2]}_ascii"
    await other.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'")
    with pytest.raises(StoreUnusableError, match="encoding is SQL_ASCII"):
        await PostgresStore.open(f"{database}_ascii", OPTIONS)
    await other.execute(f"DROP DATABASE {name} WITH (FORCE)")


async def test_somebody_elses_schema_is_refused_and_left_alone(database: str, other: asyncpg.Connection) -> None:
    await other.execute("CREATE SCHEMA warren_history CREATE TABLE things (name text)")
    with pytest.raises(StoreUnusableError, match="no history store"):
        await PostgresStore.open(database, OPTIONS)
    assert await other.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'warren_history'") == 1
