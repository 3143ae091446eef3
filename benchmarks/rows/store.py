"""History's stores: what appending and recovering cost when they are full, and PostgreSQL against SQLite."""

from __future__ import annotations

import asyncio
import os
import random
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import asyncpg

from benchmarks.filling import Filling, fill_postgres, fill_sqlite
from benchmarks.rows.throughput import history_drain
from benchmarks.suite import Suite, running_suite
from benchmarks.table import Result
from warren_dev.postgres import PrivatePostgres, running_postgres
from warren_history.adapters.postgres_store import PostgresStore
from warren_history.adapters.sqlite_store import SqliteStore
from warren_history.domain.publications import Content, NewPublication, ReadPlan, Retention
from warren_history.ports import Store

SIZE_VARIABLE: Final = "WARREN_BENCH_STORE_PUBLICATIONS"
SERVER: Final = {
    "shared_buffers": "2GB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "wal_compression": "lz4",
}
"""What docs/operator.md advises."""
BATCH: Final = 256
BATCHES: Final = 30
READS: Final = 300
ROUNDS: Final = 8
WARMING: Final = 2
"""Rounds that do not count: caches fill, and after a checkpoint each page is logged whole once."""
DRAINED: Final = 10_000
BOTH: Final = ("history", "history-2")
SHARED_ROUNDS: Final = 2
MARK_APPENDS: Final = 500
KEEP: Final = Retention(size=100, ttl=10**12, meta_ttl=10**12)
SMALL: Final = Filling(channels=1_000, publications=10_000)


@dataclass(slots=True)
class Measured:
    """A store under test, and the seconds of each call."""

    store: Store
    filling: Filling
    appends: list[float]
    reads: list[float]


async def measure(measured: Measured, chance: random.Random, now: int) -> None:
    """Append batches to channels chosen at random, then recover the last ten publications of others."""
    channels = measured.filling.channels
    for number in range(BATCHES):
        batch = [
            NewPublication(
                f"chat:{chance.randrange(channels)}", Content(b"x" * 200), KEEP, f"{now}-{number}-{item}".zfill(36)
            )
            for item in range(BATCH)
        ]
        began = time.perf_counter()
        await measured.store.append(batch, now=now)
        measured.appends.append(time.perf_counter() - began)
    for _ in range(READS):
        channel = f"chat:{chance.randrange(channels)}"
        since = max(0, measured.filling.each - 10)
        began = time.perf_counter()
        page = await measured.store.read(ReadPlan(channel, KEEP, 300, 2**21, since), now=now)
        measured.reads.append(time.perf_counter() - began)
        if len(page.publications) < measured.filling.each - since:
            raise AssertionError(f"{channel} lacks publications: {page}")


@asynccontextmanager
async def filled(server: PrivatePostgres, folder: Path, filling: Filling) -> AsyncIterator[tuple[Measured, Measured]]:
    """Give a SQLite store and a PostgreSQL store that hold so much."""
    name = f"bench_{filling.publications}"
    connection = await asyncpg.connect(server.url())
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()
    path, url = folder / f"{name}.sqlite3", server.url(name)
    await (await SqliteStore.open(path)).close()
    await asyncio.to_thread(fill_sqlite, path, filling)
    await (await PostgresStore.open(url)).close()
    await fill_postgres(url, filling)
    stores = await SqliteStore.open(path), await PostgresStore.open(url)
    try:
        yield Measured(stores[0], filling, [], []), Measured(stores[1], filling, [], [])
    finally:
        for store in stores:
            await store.close()


async def growth(server: PrivatePostgres, full: Filling) -> list[Result]:
    """Compare a store that holds much with one that holds little, in turns."""
    results = []
    with TemporaryDirectory(prefix="warren-bench-store-") as folder:
        async with AsyncExitStack() as stack:
            small = await stack.enter_async_context(filled(server, Path(folder), SMALL))
            large = await stack.enter_async_context(filled(server, Path(folder), full))
            chance = random.Random(1)  # noqa: S311 - no secret
            for turn in range(ROUNDS):
                for measured in (*small, *large):
                    await measure(measured, chance, turn + 1)
            for name, few, many in zip(("SQLite", "PostgreSQL"), small, large, strict=True):
                held = f"{full.publications:,} publications in {full.channels:,} channels"
                budget = name == "PostgreSQL"
                results += [
                    _slower(
                        f"{name}: append of {BATCH} to as many channels, {held}",
                        few.appends,
                        many.appends,
                        budget=budget,
                    ),
                    _slower(f"{name}: recovery of 10, {held}", few.reads, many.reads, budget=budget),
                ]
    return results


def _slower(what: str, few: Sequence[float], many: Sequence[float], *, budget: bool) -> Result:
    few, many = (each[len(each) * WARMING // ROUNDS :] for each in (few, many))
    medians, means = [[kind(each) for each in (few, many)] for kind in (statistics.median, statistics.fmean)]
    ratio = medians[1] / medians[0]
    detail = (
        f"median {medians[1] * 1e3:.2f} ms against {medians[0] * 1e3:.2f} in a store of {SMALL.publications:,}; "
        f"mean {means[1] * 1e3:.2f} against {means[0] * 1e3:.2f}"
    )
    if not budget:
        return Result(what, "-", f"{ratio:.2f}x a small store", None, detail)
    return Result(what, "<= 2x a small store", f"{ratio:.2f}x", ratio <= 2, detail)


async def mark_cost(folder: Path) -> Result:
    """Compare appends with the mark beside the store file, and without, in turns."""
    stores = [await SqliteStore.open(folder / f"{name}.sqlite3") for name in ("marked", "bare")]
    stores[1]._connections.mark.close()  # noqa: SLF001 - what nobody may do but who measures it
    times: list[list[float]] = [[], []]
    try:
        for number in range(MARK_APPENDS):
            batch = [NewPublication("chat:mark", Content(b"x" * 200), KEEP, f"{number}-{item}") for item in range(8)]
            for store, seconds in zip(stores, times, strict=True):
                began = time.perf_counter()
                await store.append(batch, now=number)
                seconds.append(time.perf_counter() - began)
    finally:
        for store in stores:
            await store.close()
    marked, bare = (statistics.median(each) for each in times)
    return Result(
        "SQLite: append of 8 with the mark that shows an older copy",
        "<= 1.1x without",
        f"{marked / bare:.2f}x",
        marked <= 1.1 * bare,
        f"median {marked * 1e3:.2f} ms against {bare * 1e3:.2f}",
    )


async def shared_drain(server: PrivatePostgres) -> Result:
    """Compare one history process with two on one database."""
    environment = {"WARREN_HISTORY_STORE_URL": server.url()}
    async with running_suite(environment, more=BOTH[1:]) as suite:
        rates = []
        for processes in (BOTH[:1], BOTH) * SHARED_ROUNDS:
            for name in set(BOTH) - set(processes):
                await suite.supervisor.stop(name)
            rates.append(await history_drain(suite, DRAINED, processes))
    one, two = (statistics.median(rates[each::2]) for each in (0, 1))
    return Result(
        "durable publications per second through two history processes, PostgreSQL",
        "grows where cores allow",
        f"{two / one:.2f}x one process",
        None,
        f"{two:.0f}/s against {one:.0f}/s; both, and the broker, on {len(suite.cores.load)} of {os.cpu_count()} cores",
    )


async def rows(suite: Suite) -> list[Result]:
    """Measure growth with the size, then both stores behind a history process."""
    publications = int(os.environ.get(SIZE_VARIABLE, "200000"))
    with running_postgres(print, SERVER) as server:
        results = await growth(server, Filling(publications // 10, publications))
        sqlite = await history_drain(suite, DRAINED)
        async with running_suite({"WARREN_HISTORY_STORE_URL": server.url()}) as other:
            postgres = await history_drain(other, DRAINED)
        shared = await shared_drain(server)
    with TemporaryDirectory(prefix="warren-bench-mark-") as folder:
        mark = await mark_cost(Path(folder))
    ratio = postgres / sqlite
    results.append(
        Result(
            "durable publications per second through one history process, PostgreSQL",
            ">= 0.7x SQLite",
            f"{ratio:.2f}x",
            ratio >= 0.7,
            f"{postgres:.0f}/s, SQLite {sqlite:.0f}/s",
        )
    )
    return [*results, shared, mark]
