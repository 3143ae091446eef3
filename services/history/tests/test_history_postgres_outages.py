"""The PostgreSQL store while its server is away, refuses, or answers too late; and after it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import TypeVar
from urllib.parse import urlsplit

import asyncpg
import pytest
from eventually import eventually
from proxy import Proxy, through

from warren_history.adapters.postgres_store import PostgresStore
from warren_history.domain.publications import Retention
from warren_history.ports import StoreUnavailableError, StoreUnusableError
from warren_history.store_url import check_store_url

from .databases import OPTIONS, DatabaseServer
from .store_behaviour import T0, append_texts, new, offsets, plan, texts

pytestmark = pytest.mark.postgres
KEEP = Retention(size=100_000, ttl=10**12, meta_ttl=10**12)
T = TypeVar("T")


@pytest.fixture
async def proxy(database: str) -> AsyncIterator[Proxy]:
    parts = urlsplit(database)
    async with Proxy.to(parts.hostname or "", parts.port or 5432) as proxy:
        yield proxy


@pytest.fixture
async def store(database: str, proxy: Proxy) -> AsyncIterator[PostgresStore]:
    """A store whose way to the server can be cut."""
    store = await PostgresStore.open(through(database, proxy), replace(OPTIONS, deadline=2.0))
    yield store
    await store.close()


@pytest.fixture
async def other(database: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


async def insist(call: Callable[[], Awaitable[T]]) -> T:
    """Call until the store is there, as history does."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await call()
            except StoreUnavailableError:
                await asyncio.sleep(0)


async def test_a_cut_connection_is_unavailable_and_the_next_call_makes_a_new_one(
    store: PostgresStore, proxy: Proxy
) -> None:
    await append_texts(store, "a")
    proxy.accepting = False
    proxy.cut()
    for call in (append_texts(store, "b"), store.read(plan(), now=T0), store.trim(now=T0, limit=1)):
        with pytest.raises(StoreUnavailableError):
            await call
    assert not store.healthy
    proxy.accepting = True
    assert [item.offset for item in await insist(lambda: append_texts(store, "b"))] == [2]
    assert store.healthy
    assert texts(await store.read(plan(), now=T0)) == ["a", "b"]


async def test_a_batch_whose_answer_was_lost_is_recognised_when_it_is_given_again(
    store: PostgresStore, proxy: Proxy, other: asyncpg.Connection
) -> None:
    await append_texts(store, "0")
    batch = [new("a", message_id="m1"), new("b")]
    async with other.transaction():
        await other.execute("SELECT FROM warren_history.streams FOR UPDATE")
        appending = asyncio.ensure_future(store.append(batch, now=T0))
        async with asyncio.timeout(10):
            while not await other.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"):
                pass
        proxy.cut()  # the server has the statement, and will commit it; nobody will hear of that
        with pytest.raises(StoreUnavailableError):
            await appending
    async with asyncio.timeout(10):
        while (await store.read(plan(), now=T0)).top < 3:
            pass
    first, second = await store.append(batch, now=T0)
    assert (first.offset, first.duplicate) == (2, True)
    assert (second.offset, second.duplicate) == (4, False)  # without message id: at least once
    assert texts(await store.read(plan(), now=T0)) == ["0", "a", "b", "b"]


async def test_a_server_that_does_not_answer_is_unavailable_after_the_deadline(database: str) -> None:
    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(hold, "127.0.0.1", 0) as silent:
        address = f"127.0.0.1:{silent.sockets[0].getsockname()[1]}"
        url = urlsplit(database)._replace(netloc=f"u:p@{address}").geturl()
        store = await asyncio.wait_for(PostgresStore.open(url, replace(OPTIONS, deadline=0.3)), timeout=5)
        try:
            assert not store.healthy
            with pytest.raises(StoreUnavailableError):
                await asyncio.wait_for(append_texts(store, "a"), timeout=5)
        finally:
            await store.close()


async def test_a_server_that_starts_later_is_waited_for_and_gets_its_tables_then(
    server: DatabaseServer, database: str
) -> None:
    if server.private is None:
        pytest.skip("the server of this run is somebody else's: it is not to be stopped")
    server.private.stop()
    try:
        store = await PostgresStore.open(database, replace(OPTIONS, deadline=2.0))
        assert not store.healthy
        with pytest.raises(StoreUnavailableError):
            await append_texts(store, "a")
    finally:
        server.private.start()
    assert [item.offset for item in await insist(lambda: append_texts(store, "a"))] == [1]
    assert store.healthy
    await store.close()


async def test_nothing_committed_is_lost_and_nothing_doubled_though_the_server_crashes_in_mid_stream(
    server: DatabaseServer, database: str
) -> None:
    if server.private is None:
        pytest.skip("the server of this run is somebody else's: it is not to be crashed")
    store = await PostgresStore.open(database, replace(OPTIONS, flush=True))
    told: dict[str, int] = {}
    crashed = 0

    async def append(start: int) -> None:
        batch = [new("x", message_id=f"{start + item}", keep=KEEP) for item in range(10)]
        results = await insist(lambda: store.append(batch, now=T0))
        told.update({item.message_id or "": result.offset for item, result in zip(batch, results, strict=True)})

    async def stream(writer: int) -> None:
        for turn in range(150):
            await append(writer * 10_000 + turn * 10)

    async def crash() -> None:
        nonlocal crashed
        assert server.private is not None
        for count in (300, 1500, 3000):
            await eventually(lambda: len(told) >= count, what=f"{count} publications", deadline=30)  # noqa: B023
            server.private.crash()
            server.private.start()
            crashed += 1

    async with asyncio.timeout(50), asyncio.TaskGroup() as group:
        group.create_task(crash())
        for writer in range(3):
            group.create_task(stream(writer))
    try:
        assert crashed == 3
        page = await store.read(plan(keep=KEEP, limit=100_000), now=T0)
        assert sorted(told.values()) == offsets(page) == list(range(1, 4501))
        await store.trim(now=T0, limit=1)
        assert (store.size().publications, store.size().message_ids) == (4500, 4500)
    finally:
        await store.close()


@pytest.mark.parametrize("code", ["53100", "58030", "57014", "40001", "25006", "42501", "42P01", "XX000"])
async def test_what_a_server_may_suffer_from_is_unavailable_and_passes(
    store: PostgresStore, other: asyncpg.Connection, code: str
) -> None:
    await append_texts(store, "a")
    await other.execute(
        "CREATE FUNCTION suffer() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE 'no' USING ERRCODE = '{code}'; END $$"
    )
    await other.execute(
        "CREATE TRIGGER suffer BEFORE INSERT ON warren_history.publications FOR EACH ROW EXECUTE FUNCTION suffer()"
    )
    with pytest.raises(StoreUnavailableError, match=r"^no$"):
        await append_texts(store, "b")
    await other.execute("DROP TRIGGER suffer ON warren_history.publications")
    assert [item.offset for item in await append_texts(store, "b")] == [2]


async def test_a_server_that_became_read_only_is_left_for_one_that_is_not(
    store: PostgresStore, database: str, other: asyncpg.Connection
) -> None:
    await append_texts(store, "a")
    (connection,) = store._appending._idle
    await connection.execute("SET default_transaction_read_only = on")
    with pytest.raises(StoreUnavailableError):
        await append_texts(store, "b")
    assert connection.is_closed()

    name = database.rpartition("/")[2]
    await other.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    with pytest.raises(StoreUnavailableError):
        await append_texts(store, "b")
    with pytest.raises(StoreUnavailableError):  # it may be a standby, which answers with the past
        await store.read(plan(), now=T0)
    await other.execute("SET default_transaction_read_only = off")
    await other.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    assert [item.offset for item in await append_texts(store, "b")] == [2]


async def test_a_role_without_free_connections_is_waited_for(database: str, other: asyncpg.Connection) -> None:
    role = f"limited_{database[-12:]}"
    await other.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'secret' CONNECTION LIMIT 0")
    await other.execute(f"GRANT CREATE ON DATABASE {database.rpartition('/')[2]} TO {role}")
    parts = urlsplit(database)
    url = parts._replace(netloc=f"{role}:secret@{parts.hostname}:{parts.port}").geturl()
    store = await PostgresStore.open(url, OPTIONS)
    try:
        assert not store.healthy
        with pytest.raises(StoreUnavailableError, match="too many connections"):
            await append_texts(store, "a")
        await other.execute(f"ALTER ROLE {role} CONNECTION LIMIT 10")
        assert [item.offset for item in await append_texts(store, "a")] == [1]
    finally:
        await store.close()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda parts: parts._replace(netloc=f"{parts.username}:guess@{parts.hostname}:{parts.port}"), "password"),
        (lambda parts: parts._replace(path="/nowhere"), "does not exist"),
        (lambda parts: parts._replace(query="sslmode=nonsense"), "the URL cannot be used"),
    ],
)
async def test_what_waiting_will_not_mend_is_refused_in_one_line_without_the_password(
    database: str, change: Callable[..., object], reason: str
) -> None:
    parts = urlsplit(database)
    changed = change(parts)
    url: str = changed.geturl()  # type: ignore[attr-defined]
    check_store_url(url)
    with pytest.raises(StoreUnusableError, match=reason) as caught:
        await PostgresStore.open(url, OPTIONS)
    message = str(caught.value)
    assert message.startswith(f"store postgresql://{parts.hostname}:{parts.port}/")
    assert not re.search(f"\n|guess|{re.escape(parts.password or 'none')}", message)


async def test_a_role_that_may_not_make_the_tables_is_refused(database: str, other: asyncpg.Connection) -> None:
    role = f"poor_{database[-12:]}"
    await other.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'secret'")
    parts = urlsplit(database)
    url = parts._replace(netloc=f"{role}:secret@{parts.hostname}:{parts.port}").geturl()
    with pytest.raises(StoreUnusableError, match="permission denied"):
        await PostgresStore.open(url, OPTIONS)
    await other.execute(f"CREATE SCHEMA warren_history AUTHORIZATION {role}")
    store = await PostgresStore.open(url, OPTIONS)
    assert [item.offset for item in await append_texts(store, "a")] == [1]
    await store.close()
