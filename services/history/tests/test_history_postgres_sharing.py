"""Several processes on one PostgreSQL store: one line of offsets, whoever appends, dies or is stopped meanwhile."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import asyncpg
import pytest

from warren_history.adapters.postgres_store import PostgresStore
from warren_history.domain.publications import Appended, Retention
from warren_history.ports import StoreUnavailableError

from .databases import OPTIONS
from .store_behaviour import T0, new, offsets, plan

pytestmark = pytest.mark.postgres
KEEP = Retention(size=100_000, ttl=10**12, meta_ttl=10**12)
CHANNELS = [f"chat:{number}" for number in range(6)]

WRITER = """
import asyncio, itertools, json, random, sys
from warren_history.adapters.postgres_store import PostgresStore
from warren_history.domain.publications import Content, NewPublication, Retention

async def main(url, name, now):
    store = await PostgresStore.open(url)
    keep, chance = Retention(100_000, 10**12, 10**12), random.Random(name)
    for number in itertools.count():
        batch = [
            NewPublication(f"chat:{chance.randrange(6)}", Content(b"1"), keep, f"{name}-{number}-{item}")
            for item in range(chance.randrange(1, 20))
        ]
        appended = await store.append(batch, now=now)
        told = [[item.channel, item.message_id, result.offset] for item, result in zip(batch, appended)]
        print(json.dumps(told), flush=True)

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


@asynccontextmanager
async def stores(url: str, count: int) -> AsyncIterator[list[PostgresStore]]:
    opened = [await PostgresStore.open(url, OPTIONS) for _ in range(count)]
    try:
        yield opened
    finally:
        for store in opened:
            await store.close()


async def test_concurrent_appends_never_give_an_offset_twice_and_leave_no_gap(database: str) -> None:
    async with stores(database, 3) as shared:
        batches = await asyncio.gather(
            *(shared[turn % 3].append([new(f"{turn}-{item}") for item in range(5)], now=T0) for turn in range(60))
        )
        assert sorted(item.offset for batch in batches for item in batch) == list(range(1, 301))
        for batch in batches:
            assert [item.offset for item in batch] == list(range(batch[0].offset, batch[0].offset + 5))


@pytest.mark.parametrize("seed", range(4))
async def test_two_processes_on_the_same_channels_share_offsets_and_message_ids(database: str, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - no secret
    batches = [
        [
            new(f"{number}", channel=chance.choice(CHANNELS), message_id=f"m{chance.randrange(300)}", keep=KEEP)
            for number in range(chance.randrange(1, 25))
        ]
        for _ in range(60)
    ]
    async with stores(database, 2) as shared:

        async def work(store: PostgresStore, mine: Sequence[int]) -> list[tuple[int, Sequence[Appended]]]:
            return [(turn, await store.append(batches[turn], now=T0)) for turn in mine]

        async def trims() -> None:
            for _ in range(20):
                await shared[0].trim(now=T0, limit=10)

        # Every batch is appended by both, in orders of their own: one of them finds each message id known.
        orders = [chance.sample(range(60), 60) for _ in range(2)]
        first, second, _ = await asyncio.gather(work(shared[0], orders[0]), work(shared[1], orders[1]), trims())
        told: dict[tuple[str, str | None], set[int]] = {}
        fresh: dict[str, list[int]] = {channel: [] for channel in CHANNELS}
        for turn, results in (*first, *second):
            last: dict[str, int] = {}
            for item, result in zip(batches[turn], results, strict=True):
                told.setdefault((item.channel, item.message_id), set()).add(result.offset)
                if not result.duplicate:
                    fresh[item.channel].append(result.offset)
                    assert result.offset > last.get(item.channel, 0)
                    last[item.channel] = result.offset
        assert all(len(places) == 1 for places in told.values())
        for channel in CHANNELS:
            page = await shared[0].read(plan(channel, keep=KEEP, limit=100_000), now=T0)
            assert sorted(fresh[channel]) == offsets(page) == list(range(1, page.top + 1))
            assert page.top == len({message_id for place, message_id in told if place == channel})


async def test_streams_are_begun_by_several_processes_at_once_under_one_epoch(database: str) -> None:
    async with stores(database, 3) as shared:
        results = await asyncio.gather(
            *(store.append([new("x", channel=f"chat:{number}") for number in range(100)], now=T0) for store in shared),
        )
        pages = await asyncio.gather(*(store.read(plan("chat:7"), now=T0) for store in shared))
        assert len({result.epoch for batch in results for result in batch}) == 100
        assert {page.epoch for page in pages} == {results[0][7].epoch}
        assert sorted(batch[7].offset for batch in results) == [1, 2, 3]
        await shared[0].trim(now=T0, limit=1)
        assert shared[0].size().streams == 100


async def test_a_deadlock_with_somebody_else_is_survived(database: str) -> None:
    # Appends lock in one order and so never meet in one; here somebody locks in the other.
    async with stores(database, 1) as (store,):
        await store.append([new("x", channel="chat:1"), new("x", channel="chat:2")], now=T0)
        other = await asyncpg.connect(database)
        lock = "UPDATE warren_history.streams SET due = due WHERE channel = $1"
        try:
            async with other.transaction():
                await other.execute("SET LOCAL deadlock_timeout = '1min'")  # so that it is the store that is told
                await other.execute(lock, "chat:2")
                appending = asyncio.ensure_future(
                    store.append([new("y", channel="chat:1"), new("y", channel="chat:2")], now=T0)
                )
                async with asyncio.timeout(10):
                    while not await other.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"):
                        pass
                await other.execute(lock, "chat:1")
            assert [item.offset for item in await appending] == [2, 2]
        finally:
            await other.close()


@asynccontextmanager
async def writer(database: str, name: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, database, name, str(T0), stdout=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _tell(process: asyncio.subprocess.Process, lines: int) -> list[tuple[str, str, int]]:
    assert process.stdout is not None
    told: list[tuple[str, str, int]] = []
    async with asyncio.timeout(30):
        for _ in range(lines):
            told += map(tuple, json.loads(await process.stdout.readline()))
    return told


async def test_a_process_that_is_stopped_in_the_middle_holds_nobody_up_and_doubles_nothing_when_it_goes_on(
    database: str,
) -> None:
    async with writer(database, "stopped") as stopped, writer(database, "other") as other:
        told = await _tell(stopped, 20) + await _tell(other, 20)
        for _ in range(10):  # at ten moments of its doing
            stopped.send_signal(signal.SIGSTOP)
            told += await _tell(other, 10)
            stopped.send_signal(signal.SIGCONT)
            told += await _tell(stopped, 3)
        for process in (stopped, other):
            process.kill()
            assert process.stdout is not None
            rest = (await process.stdout.read()).split(b"\n")[:-1]
            told += [tuple(item) for line in rest for item in json.loads(line)]
            await process.wait()
    places = {(channel, offset) for channel, _, offset in told}
    assert len(places) == len(told)
    async with stores(database, 1) as (store,):
        for channel in CHANNELS:
            page = await store.read(plan(channel, keep=KEEP, limit=100_000), now=T0)
            assert offsets(page) == list(range(1, page.top + 1))
            assert {offset for place, offset in places if place == channel} <= set(offsets(page))
        again = await store.append(
            [new("x", channel=channel, message_id=message_id, keep=KEEP) for channel, message_id, _ in told], now=T0
        )
        assert [item.offset for item in again] == [offset for *_, offset in told]


async def test_a_session_of_another_isolation_level_is_refused_rather_than_trusted(database: str) -> None:
    async with stores(database, 1) as (store,):
        await store.append([new("a")], now=T0)
        (connection,) = store._appending._idle
        await connection.execute("SET default_transaction_isolation = 'repeatable read'")
        with pytest.raises(StoreUnavailableError, match="read committed"):
            await store.append([new("b")], now=T0)


async def test_a_process_on_an_old_connection_waits_no_longer_than_its_deadline(database: str) -> None:
    async with stores(database, 1) as (store,):
        await store.append([new("a")], now=T0)
        impatient = await PostgresStore.open(database, replace(OPTIONS, deadline=0.3))
        other = await asyncpg.connect(database)
        try:
            async with other.transaction():
                await other.execute("SELECT FROM warren_history.streams FOR UPDATE")
                with pytest.raises(StoreUnavailableError):
                    await asyncio.wait_for(impatient.append([new("b")], now=T0), timeout=5)
                async with asyncio.timeout(5):  # the server gives up as well
                    while await other.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"):
                        pass
        finally:
            await other.close()
            await impatient.close()
