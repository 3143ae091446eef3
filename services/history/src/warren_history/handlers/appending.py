"""Appending a batch: waits for a store that is away, and gives up on what the store cannot take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import structlog
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from warren_history.domain.admission import Reason, Rejected
from warren_history.domain.publications import Appended, NewPublication
from warren_history.handlers.patience import PASSING, Patience
from warren_history.metrics import Counts
from warren_history.ports import Store
from warren_shared.contracts.channels import namespace_of
from warren_shared.runtime.clock import Clock

_TRIES: Final = 5
"""How often one publication may crash the store before it is given up. The pauses between them are
also what a bug that meets every publication is slowed down by: ``warren.dead`` keeps a bounded number."""
_log = structlog.get_logger()


class Appending:
    """Hands batches to the store, those of one partition one after another."""

    def __init__(self, store: Store, *, patience: Patience, clock: Clock, counts: Counts) -> None:
        self._store, self._patience, self._clock, self._counts = store, patience, clock, counts

    async def append(self, queue: str, batch: Sequence[NewPublication]) -> Sequence[Appended | Rejected]:
        """Return where each publication is stored, or that it cannot be, in the order of the batch.

        Raises BatchGivenBackError while the store is away.
        """
        started = self._clock.monotonic()
        try:
            results: Sequence[Appended | Rejected] = await self._insist(queue, batch)
        except PASSING:
            raise
        except Exception as error:  # noqa: BLE001 - whose fault it is, only appending one at a time tells
            # The type alone: the error's text may hold a payload.
            _log.error("append_crashed", queue=queue, publications=len(batch), error=type(error).__name__)
            results = [await self._append_alone(queue, item) for item in batch]
        self._counts.append_seconds.observe(self._clock.monotonic() - started)
        self._counts.batches.observe(len(batch))
        for item, result in zip(batch, results, strict=True):
            self._count(item, result)
        return results

    async def _append_alone(self, queue: str, item: NewPublication) -> Appended | Rejected:
        patience = self._patience
        retrying = AsyncRetrying(
            retry=retry_if_exception(_is_crash),
            wait=wait_random_exponential(multiplier=patience.first_pause, max=patience.longest_pause),
            stop=stop_after_attempt(_TRIES),
            reraise=True,
        )
        try:
            results: Sequence[Appended] = await retrying(self._insist, queue, [item])
        except PASSING:
            raise
        except Exception as error:  # noqa: BLE001 - no publication may stop its partition
            return Rejected(Reason.NOT_STORED, f"the store fails on it with {type(error).__name__}")
        return results[0]

    async def _insist(self, queue: str, batch: Sequence[NewPublication]) -> Sequence[Appended]:
        return await self._patience.insist(
            "append",
            queue,
            lambda: self._store.append(batch, now=int(self._clock.now() * 1000)),
            self._count_failure,
        )

    def _count(self, item: NewPublication, result: Appended | Rejected) -> None:
        if isinstance(result, Appended):
            counter = self._counts.duplicates if result.duplicate else self._counts.appended
            counter[namespace_of(item.channel)] += 1

    def _count_failure(self) -> None:
        self._counts.store_failures += 1


def _is_crash(error: BaseException) -> bool:
    return isinstance(error, Exception) and not isinstance(error, PASSING)
