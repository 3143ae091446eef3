"""When this process itself did not get to run: then its clients answered no pings, whatever was sent to them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

_LOOK_SECONDS: Final = 0.25
_LATE_SECONDS: Final = 0.25
"""A publication takes several turns of this loop: through the links on its way, and to who reads it."""


@dataclass(slots=True)
class Lateness:
    """Notes when the event loop came late, in seconds of its clock."""

    spans: list[tuple[float, float]] = field(default_factory=list)

    async def watch(self) -> None:
        """Look again and again, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            before = loop.time()
            await asyncio.sleep(_LOOK_SECONDS)
            self.note(before, loop.time())

    def note(self, before: float, now: float) -> None:
        """Take two looks that follow one another."""
        if now - before > _LOOK_SECONDS + _LATE_SECONDS:
            self.spans.append((before, now))

    @property
    def seconds(self) -> float:
        """For how long it was late, in all."""
        return sum(end - begin for begin, end in self.spans)

    def disturbances(self, healing: float) -> Sequence[tuple[float, float]]:
        """Return when nothing can be said of live publications, with so many seconds to come back."""
        return [(begin, end + healing) for begin, end in self.spans]
