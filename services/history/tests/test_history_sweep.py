"""Removing what has expired, again and again."""

from __future__ import annotations

import asyncio
from collections import deque

import pytest
from structlog.testing import capture_logs

from warren_history.adapters.sqlite.connection import Synchronous
from warren_history.domain.idempotency import LONGEST_STEP
from warren_history.domain.publications import Content, NewPublication, Retention, Trimmed
from warren_history.handlers.sweep import Sweep
from warren_history.metrics import Counts
from warren_history.ports import StoreUnavailableError
from warren_history.settings import LONGEST_SWEEP_PAUSE, HistorySettings

from .fakes import FakeClock
from .memory_store import MemoryStore


class SlicingStore(MemoryStore):
    """Trims as planned."""

    def __init__(self, planned: list[Trimmed | Exception]) -> None:
        super().__init__()
        self.planned = deque(planned)
        self.asked: list[tuple[int, int]] = []
        self.done = asyncio.Event()

    async def trim(self, *, now: int, limit: int) -> Trimmed:
        self.asked.append((now, limit))
        result = self.planned.popleft() if self.planned else Trimmed()
        if not self.planned:
            self.done.set()
        if isinstance(result, Exception):
            raise result
        return result


def sweep_of(store: MemoryStore, counts: Counts, interval: float = 0.001) -> Sweep:
    return Sweep(store, interval=interval, slice_size=10, clock=FakeClock(), counts=counts)


async def test_a_sweep_goes_on_while_there_is_more_and_counts_what_it_removed() -> None:
    counts = Counts()
    store = SlicingStore([Trimmed(10, 10, 1, more=True), Trimmed(3, 10, 0, more=True), Trimmed(0, 2, 0)])
    await sweep_of(store, counts).sweep()
    assert store.asked == [(1_700_000_000_000, 10)] * 3
    assert counts.trimmed == {"publications": 13, "message_ids": 22, "streams": 1}


async def test_a_store_that_fails_is_swept_again_later() -> None:
    counts = Counts()
    store = SlicingStore([StoreUnavailableError("locked"), Trimmed(1, 0, 0)])
    with capture_logs() as logs:
        task = asyncio.ensure_future(sweep_of(store, counts).run())
        await asyncio.wait_for(store.done.wait(), 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert logs[0] == {"event": "sweep_failed", "log_level": "warning", "reason": "locked"}
    assert counts.store_failures == 1
    assert counts.trimmed["publications"] == 1


async def test_what_expired_is_gone_after_a_sweep() -> None:
    counts, store = Counts(), MemoryStore()
    keep = Retention(10, 1000, 2000)
    await store.append([NewPublication("chat:a", Content(b"1"), keep)], now=1_699_999_999_000)
    await sweep_of(store, counts).sweep()
    assert (store.size().publications, store.size().streams) == (0, 1)


def test_the_sweep_always_comes_by_before_message_ids_stop_ageing() -> None:
    assert LONGEST_SWEEP_PAUSE * 1000 < LONGEST_STEP


def test_the_settings_name_what_the_store_knows() -> None:
    assert {member.value for member in Synchronous} == {"full", "normal"}
    assert Synchronous(HistorySettings().store_synchronous) is Synchronous.FULL
