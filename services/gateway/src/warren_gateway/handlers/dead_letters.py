"""What arrived and could not be used: kept for operators, within a rate, and counted."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from warren_gateway.domain.token_bucket import TokenBucket
from warren_gateway.handlers.counts import BusCounts
from warren_shared.messaging.dead_letters import dead_letter
from warren_shared.messaging.port import Delivery, Publisher

_log = structlog.get_logger()


class DeadLetters:
    """Sends dead letters without waiting: the delivery was settled when it arrived."""

    def __init__(
        self, publisher: Publisher, counts: BusCounts, *, per_second: float, monotonic: Callable[[], float]
    ) -> None:
        self._publisher, self._counts, self._monotonic = publisher, counts, monotonic
        self._budget = TokenBucket(per_second)

    def __call__(self, delivery: Delivery, reason: str) -> None:
        """Keep a delivery with the reason why it could not be used."""
        if not self._budget.take(self._monotonic()):
            self._counts.dead_letters_suppressed += 1
            return
        self._counts.dead_letters += 1
        sent = self._publisher.send(dead_letter(delivery, reason, "gateway"))
        _log.warning("delivery_dead_lettered", exchange=delivery.exchange, reason=reason, kept=sent)
