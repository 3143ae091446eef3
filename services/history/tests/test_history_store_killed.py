"""A store whose process is killed in the middle of appends loses nothing committed and keeps no half batch."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from warren_history.adapters.postgres_store import PostgresStore
from warren_history.adapters.sqlite_store import SqliteStore
from warren_history.domain.publications import Retention
from warren_history.ports import Store

from .store_behaviour import T0, new, offsets, plan

BATCH = 40
KEEP = Retention(size=1_000_000, ttl=10**12, meta_ttl=10**12)
WRITER = """
import asyncio, itertools, sys
from pathlib import Path
from warren_history.adapters.postgres_store import PostgresStore
from warren_history.adapters.sqlite_store import SqliteStore
from warren_history.domain.publications import Content, NewPublication, Retention

async def main(place, batch_size, keep, now):
    store = await (PostgresStore.open(place) if "://" in place else SqliteStore.open(Path(place)))
    for start in itertools.count(step=batch_size):
        ids = range(start, start + batch_size)
        batch = [NewPublication("chat:room", Content(b"1"), keep, str(number)) for number in ids]
        appended = await store.append(batch, now=now)
        print(appended[-1].offset, flush=True)

place, batch_size, size, ttl, meta_ttl, now = sys.argv[1], *map(int, sys.argv[2:])
asyncio.run(main(place, batch_size, Retention(size, ttl, meta_ttl), now))
"""


async def _append_until_killed(place: str, batches: int) -> int:
    """Kill a process that appends, without warning, once it has told of ``batches``; return its last word."""
    numbers = map(str, (BATCH, KEEP.size, KEEP.ttl, KEEP.meta_ttl, T0))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, place, *numbers, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            for _ in range(batches):
                assert await process.stdout.readline()
            process.kill()
            told = (await process.stdout.read()).split(b"\n")[:-1]  # a half line was no promise
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return int(told[-1]) if told else batches * BATCH


@pytest.mark.parametrize("batches", [1, 4, 15, 40])
async def test_what_was_committed_survives_kill_minus_nine_whole(tmp_path: Path, batches: int) -> None:
    path = tmp_path / "history.sqlite3"
    told = await _append_until_killed(str(path), batches)
    await _everything_is_whole(await SqliteStore.open(path), told, batches)


@pytest.mark.postgres
@pytest.mark.parametrize("batches", [1, 4, 15, 40])
async def test_what_was_committed_survives_kill_minus_nine_of_the_process_whole_in_postgresql(
    database: str, batches: int
) -> None:
    told = await _append_until_killed(database, batches)
    await _everything_is_whole(await PostgresStore.open(database), told, batches)


async def _everything_is_whole(store: Store, told: int, batches: int) -> None:
    try:
        page = await store.read(plan(limit=1_000_000, keep=KEEP), now=T0)
        assert page.top >= told >= batches * BATCH
        assert page.top % BATCH == 0
        assert offsets(page) == list(range(1, page.top + 1))
        assert store.size().message_ids >= told

        again = await store.append([new("x", message_id=str(number), keep=KEEP) for number in range(told)], now=T0)
        assert all(item.duplicate for item in again)
        assert [item.offset for item in again] == list(range(1, told + 1))
        await store.trim(now=T0, limit=1)
        assert store.size().message_ids == (await store.read(plan(limit=0, keep=KEEP), now=T0)).top
    finally:
        await store.close()
