"""How long the event loop was kept from its work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from warren_gateway.handlers.counts import BusCounts

PERIOD: Final = 0.1


async def watch_loop(counts: BusCounts, monotonic: Callable[[], float]) -> None:
    """Wake up ten times a second and note how much later than wanted that was; until cancelled."""
    while True:
        wanted = monotonic() + PERIOD
        await asyncio.sleep(PERIOD)
        counts.longest_stall = max(counts.longest_stall, monotonic() - wanted)
