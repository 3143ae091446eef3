"""Any sequence of appends, reads, trims, clock steps and restarts: each store answers as the reference does."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import ClassVar

import asyncpg
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from warren_history.adapters.postgres_store import PostgresOptions, PostgresStore
from warren_history.adapters.sqlite.connection import Synchronous
from warren_history.adapters.sqlite_store import SqliteOptions, SqliteStore
from warren_history.domain.publications import Content, NewPublication, ReadPlan, Retention
from warren_history.ports import Store

from .databases import CallersClock
from .memory_store import MemoryStore

WINDOW = 120_000
SQLITE = SqliteOptions(synchronous=Synchronous.NORMAL, idempotency_window=WINDOW, readers=1)
POSTGRES = PostgresOptions(flush=False, idempotency_window=WINDOW, readers=1, clock=CallersClock())
RETENTIONS = (
    Retention(size=1, ttl=1_000, meta_ttl=2_000),
    Retention(size=3, ttl=10_000, meta_ttl=60_000),
    Retention(size=50, ttl=100_000, meta_ttl=1_000_000),
)

channels = st.sampled_from(["chat:a", "chat:b", "plain"])
retentions = st.sampled_from(RETENTIONS)
contents = st.builds(
    Content,
    st.binary(max_size=12),
    st.booleans(),
    st.sampled_from([None, "application/json"]),
    st.sampled_from([None, "{}"]),
    st.dictionaries(st.sampled_from(["k", "l"]), st.text(max_size=3), max_size=2),
)
publications = st.builds(
    NewPublication, channels, contents, retentions, st.none() | st.sampled_from(["m1", "m2", "m3", "m4"])
)
plans = st.builds(
    ReadPlan,
    channels,
    retentions,
    st.integers(0, 8),
    st.sampled_from([0, 10, 1_000_000]),
    st.none() | st.integers(0, 12),
    st.booleans(),
)
steps = st.sampled_from([-60_000, -1_500, 0, 1, 999, 1_000, 5_000, 30_000, 60_000, 119_999, 10_000_000])


class StoreModel(RuleBasedStateMachine):
    """Drives both stores and compares what they answer."""

    @initialize()
    def start(self) -> None:
        self.runner = asyncio.Runner()
        self.ends = ExitStack()
        self.begin()
        self.now = 1_700_000_000_000
        self.reference = MemoryStore(WINDOW)
        self.store = self._open()
        self.epochs: dict[str, str] = {}

    @rule(batch=st.lists(publications, max_size=6))
    def append(self, batch: list[NewPublication]) -> None:
        found = self.runner.run(self.store.append(batch, now=self.now))
        expected = self.runner.run(self.reference.append(batch, now=self.now))
        for item, other in zip(found, expected, strict=True):
            self._same_epoch(item.epoch, other.epoch)
            assert (item.offset, item.time, item.content, item.duplicate) == (
                other.offset,
                other.time,
                other.content,
                other.duplicate,
            )

    @rule(plan=plans)
    def read(self, plan: ReadPlan) -> None:
        found = self.runner.run(self.store.read(plan, now=self.now))
        expected = self.runner.run(self.reference.read(plan, now=self.now))
        self._same_epoch(found.epoch, expected.epoch)
        assert (found.top, found.publications) == (expected.top, expected.publications)
        offsets = sorted(stored.offset for stored in found.publications)
        assert offsets == list(range(offsets[0], offsets[-1] + 1) if offsets else ())

    @rule(step=steps)
    def let_time_pass(self, step: int) -> None:
        self.now += step

    @rule(limit=st.integers(1, 4))
    def trim(self, limit: int) -> None:
        while self.runner.run(self.store.trim(now=self.now, limit=limit)).more:
            pass
        self.runner.run(self.reference.trim(now=self.now, limit=limit))

    @rule(channel=channels)
    def remove(self, channel: str) -> None:
        found = self.runner.run(self.store.remove(channel))
        assert found == self.runner.run(self.reference.remove(channel))

    @rule()
    def renew_epochs(self) -> None:
        found = self.runner.run(self.store.renew_epochs())
        assert found == self.runner.run(self.reference.renew_epochs())

    @rule()
    def restart(self) -> None:
        counted = self.store.size()
        self.runner.run(self.store.close())
        self.store = self._open()
        found = self.store.size()
        assert (found.streams, found.publications, found.message_ids) == (
            counted.streams,
            counted.publications,
            counted.message_ids,
        )

    def teardown(self) -> None:
        if hasattr(self, "runner"):
            self.runner.run(self.store.close())
            self.runner.close()
            self.ends.close()

    def begin(self) -> None:
        """Have an empty store to open."""
        raise NotImplementedError

    async def open(self) -> Store:
        """Open the store."""
        raise NotImplementedError

    def _open(self) -> Store:
        return self.runner.run(self.open())

    def _same_epoch(self, found: str, expected: str) -> None:
        assert self.epochs.setdefault(found, expected) == expected
        assert len(set(self.epochs.values())) == len(self.epochs)


class SqliteModel(StoreModel):
    def begin(self) -> None:
        self.path = Path(self.ends.enter_context(tempfile.TemporaryDirectory())) / "history.sqlite3"

    async def open(self) -> Store:
        return await SqliteStore.open(self.path, SQLITE)


class PostgresModel(StoreModel):
    url: ClassVar[str]

    def begin(self) -> None:
        self.runner.run(self._empty())

    async def _empty(self) -> None:
        connection = await asyncpg.connect(self.url)
        await connection.execute("DROP SCHEMA IF EXISTS warren_history CASCADE")
        await connection.close()

    async def open(self) -> Store:
        return await PostgresStore.open(self.url, POSTGRES)


@pytest.fixture
def model_database(database: str) -> None:
    PostgresModel.url = database


TestSqliteModel = SqliteModel.TestCase
TestSqliteModel.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
TestPostgresModel = PostgresModel.TestCase
TestPostgresModel.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestPostgresModel = pytest.mark.usefixtures("model_database")(TestPostgresModel)
TestPostgresModel = pytest.mark.timeout(180)(pytest.mark.postgres(TestPostgresModel))
