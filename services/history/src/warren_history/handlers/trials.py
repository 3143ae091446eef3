"""Trying suspect deliveries alone, so that one of which history dies is known by that and given up."""

from __future__ import annotations

import hashlib
from typing import Final

import structlog

from warren_history.domain.admission import Reason, Rejected
from warren_history.handlers.patience import Patience
from warren_history.metrics import Counts
from warren_history.ports import Store, StoreError
from warren_shared.messaging.port import Delivery

MOST: Final = 3
"""How often history may die with a delivery alone in hand before that is given up."""
_log = structlog.get_logger()


class Trials:
    """Notes in the store what is tried, before and after: what a dead process was at is there to be read."""

    def __init__(self, store: Store, patience: Patience, counts: Counts) -> None:
        self._store, self._patience, self._counts = store, patience, counts
        self._left_over: set[str] = set()
        """Queues whose trial ended while the store was away: it still stands there."""

    async def begin(self, queue: str, delivery: Delivery) -> Rejected | None:
        """Return None if the delivery may be tried, which must then be ended; else why not.

        Raises BatchGivenBackError while the store is away.
        """
        if queue in self._left_over:
            await self._patience.insist("trial", queue, lambda: self._store.end_trial(queue), self._count)
            self._left_over.discard(queue)
        digest = _digest(delivery)
        begun = await self._patience.insist("trial", queue, lambda: self._store.begin_trial(queue, digest), self._count)
        if begun <= MOST:
            _log.warning("suspect_tried_alone", queue=queue, message_id=delivery.message_id, trial=begun)
            return None
        return Rejected(Reason.DEADLY, f"history died {begun - 1} times with nothing else in hand")

    async def end(self, queue: str) -> None:
        """Note that history lives, whatever became of the delivery."""
        try:
            await self._store.end_trial(queue)
        except StoreError:
            self._left_over.add(queue)

    def _count(self) -> None:
        self._counts.store_failures += 1


def _digest(delivery: Delivery) -> str:
    parts = (delivery.routing_key, delivery.message_id or "")
    named = hashlib.sha256("\n".join(parts).encode("utf-8", "surrogatepass"))
    named.update(delivery.body)
    return named.hexdigest()
