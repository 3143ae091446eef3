"""The time in which a partition's index is being filled from the gateways' snapshots."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from warren_presence.domain.roster import Incarnation
from warren_shared.contracts.presence import HEARTBEAT_SECONDS

SETTLE: Final = 0.5
"""Even if every gateway heard of has answered: time for others to answer the same request."""
WINDOW: Final = HEARTBEAT_SECONDS + 0.25
"""Within this every gateway that lives has been heard of."""
PROGRESS: Final = 1.0
"""A gateway with much to tell is waited for as long as its snapshots do not cease for this long."""
LONGEST: Final = 30.0
"""But no longer than this: one that never ends must not withhold all others."""


@dataclass(slots=True)
class Filling:
    """One snapshot request to all gateways, and how far the answers are."""

    sync: str
    progress: float
    """When a part of an answer came last; at first, when it began."""
    caught_up: float | None = None
    """When everything queued before the request had been read; until then the index lags."""

    def is_complete(self, now: float, live: Iterable[Incarnation]) -> bool:
        """Whether all is known that can be waited for."""
        if self.caught_up is None:
            return False
        elapsed = now - self.caught_up
        synced = [incarnation.synced for incarnation in live]
        if synced and all(synced):
            return elapsed >= SETTLE
        quiet = now - self.progress >= PROGRESS
        return elapsed >= LONGEST or (elapsed >= WINDOW and quiet)
