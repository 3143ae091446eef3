"""Removes what has expired, in slices that let appends pass."""

from __future__ import annotations

import asyncio

import structlog

from warren_history.metrics import Counts
from warren_history.ports import Store, StoreUnavailableError
from warren_shared.runtime.clock import Clock

_log = structlog.get_logger()


class Sweep:
    """Trims the store again and again."""

    def __init__(self, store: Store, *, interval: float, slice_size: int, clock: Clock, counts: Counts) -> None:
        self._store, self._interval, self._slice_size = store, interval, slice_size
        self._clock, self._counts = clock, counts

    async def run(self) -> None:
        """Sweep every ``interval`` seconds until cancelled; a store that fails is tried again then."""
        while True:
            await asyncio.sleep(self._interval)
            try:
                await self.sweep()
            except StoreUnavailableError as error:
                self._counts.store_failures += 1
                _log.warning("sweep_failed", reason=str(error))

    async def sweep(self) -> None:
        """Remove all that has expired by now. Raises StoreUnavailableError."""
        more = True
        while more:
            trimmed = await self._store.trim(now=int(self._clock.now() * 1000), limit=self._slice_size)
            self._counts.trimmed["publications"] += trimmed.publications
            self._counts.trimmed["message_ids"] += trimmed.message_ids
            self._counts.trimmed["streams"] += trimmed.streams
            more = trimmed.more
