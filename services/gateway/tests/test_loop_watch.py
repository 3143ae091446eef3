"""How long the event loop was kept from its work."""

from __future__ import annotations

import asyncio
from itertools import chain, repeat

from warren_gateway.handlers.counts import BusCounts
from warren_gateway.handlers.loop_watch import PERIOD, watch_loop


async def test_the_longest_delay_is_kept() -> None:
    counts = BusCounts()
    # Asleep at 0 and awake 0.3 s later than wanted; then asleep at 1 and awake in time.
    times = chain([0.0, PERIOD + 0.3, 1.0, 1.0 + PERIOD], repeat(2.0))
    seen: list[float] = []
    done = asyncio.Event()

    def monotonic() -> float:
        seen.append(next(times))
        if len(seen) == 5:
            done.set()
        return seen[-1]

    watching = asyncio.create_task(watch_loop(counts, monotonic))
    async with asyncio.timeout(5):
        await done.wait()
    watching.cancel()
    assert abs(counts.longest_stall - 0.3) < 1e-9
