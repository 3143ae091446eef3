"""A duplicate is recognised until the end of its window, whatever came in between and whichever process gets it."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from warren_history.adapters.postgres_store import PostgresStore
from warren_history.adapters.sqlite_store import SqliteOptions, SqliteStore
from warren_history.domain.publications import Appended, Retention
from warren_history.ports import Store

from .databases import OPTIONS
from .store_behaviour import DAY, T0, new, offsets, plan

WINDOW = 2 * DAY
MINUTE = 60_000
KEEP = Retention(size=5, ttl=10 * MINUTE, meta_ttl=30 * DAY)
"""What a late duplicate repeats is long gone by then."""
ONE_APPEND = """
import asyncio, sys, time
from pathlib import Path
from warren_history.adapters.postgres_store import PostgresStore
from warren_history.adapters.sqlite_store import SqliteStore
from warren_history.domain.publications import Content, NewPublication, Retention

async def main(place, now):
    store = await (PostgresStore.open(place) if "://" in place else SqliteStore.open(Path(place)))
    item = NewPublication("chat:room", Content(b'"first"'), Retention(5, 600_000, 30 * 86_400_000), "order-1")
    (appended,) = await store.append([item], now=now)
    print(appended.offset, appended.epoch, flush=True)
    time.sleep(60)

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""

Open = Callable[[], Awaitable[Store]]
POSTGRES = pytest.param("postgres", marks=pytest.mark.postgres)


@pytest.fixture(params=["sqlite", POSTGRES])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a store is: a file's path or a database's URL."""
    if request.param == "sqlite":
        return str(tmp_path / "history.sqlite3")
    return str(request.getfixturevalue("database"))


@pytest.fixture
def open_store(place: str) -> Open:
    async def open_it() -> Store:
        if "://" in place:
            return await PostgresStore.open(place, replace(OPTIONS, idempotency_window=WINDOW))
        return await SqliteStore.open(Path(place), SqliteOptions(idempotency_window=WINDOW))

    return open_it


@pytest.fixture
async def store(open_store: Open) -> AsyncIterator[Store]:
    store = await open_store()
    yield store
    await store.close()


async def send_again(store: Store, message_id: str, *, now: int) -> Appended:
    (appended,) = await store.append([new("again", message_id=message_id, keep=KEEP)], now=now)
    return appended


async def test_a_duplicate_is_recognised_to_the_last_millisecond_of_days_full_of_traffic(store: Store) -> None:
    """A publication a minute for two days, with the sweeps of a store in use; what is repeated was trimmed away."""
    first, other = await store.append(
        [new("first", message_id="order-1", keep=KEEP), new("other", message_id="order-2", keep=KEEP)], now=T0
    )
    for now in range(T0 + MINUTE, T0 + WINDOW, MINUTE):
        await store.append([new("x", message_id=f"m{now}", keep=KEEP)], now=now)
        if now % (10 * MINUTE) == T0 % (10 * MINUTE):
            await store.trim(now=now, limit=1000)
    await store.trim(now=T0 + WINDOW - 1, limit=1000)
    top = WINDOW // MINUTE + 1

    again = await send_again(store, "order-1", now=T0 + WINDOW - 1)
    page = await store.read(plan(keep=KEEP), now=T0 + WINDOW - 1)
    assert (again.duplicate, again.epoch, again.offset, again.time) == (True, first.epoch, first.offset, T0)
    assert page.top == top
    assert offsets(page) == list(range(top - 4, top + 1))

    late = await send_again(store, "order-2", now=T0 + WINDOW)
    assert (late.duplicate, late.epoch, late.offset) == (False, other.epoch, top + 1)


async def test_a_duplicate_that_another_process_gets_after_the_first_one_died_is_recognised(
    place: str, open_store: Open
) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ONE_APPEND, place, str(T0), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            offset, epoch = (await process.stdout.readline()).split()
    finally:
        process.send_signal(signal.SIGKILL)
        await process.wait()
    heir = await open_store()
    try:
        again = await send_again(heir, "order-1", now=T0 + MINUTE)
        assert (again.duplicate, again.offset, again.epoch) == (True, int(offset), epoch.decode())
        assert again.content.data == b'"first"'
        assert offsets(await heir.read(plan(keep=KEEP), now=T0 + MINUTE)) == [1]
    finally:
        await heir.close()


async def test_a_message_id_that_two_processes_store_at_the_same_time_is_stored_once(open_store: Open) -> None:
    stores = [await open_store() for _ in range(2)]
    try:
        for turn in range(50):
            results = await asyncio.gather(*(send_again(store, f"m{turn}", now=T0) for store in (*stores, *stores)))
            assert sorted(item.duplicate for item in results) == [False, True, True, True]
            assert {item.offset for item in results} == {turn + 1}
        assert (await stores[1].read(plan(keep=KEEP), now=T0)).top == 50
    finally:
        for store in stores:
            await store.close()
