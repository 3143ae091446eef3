"""When the garbage collector may look at everything: a full pass stalls the loop.

Python starts full passes as the heap grows. A gateway's heap grows by connections, which live, so
such passes find nothing and take a quarter of a second with 5,000 of them. What does leave cyclic
garbage is a connection that closed: its asyncio transport, about 1.5 KiB. Full passes are therefore
made when enough connections have closed, so that their cost for each stays the same.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from typing import Final

_LOOK_SECONDS: Final = 5.0
_YOUNG: Final = 2_000
_MIDDLE: Final = 10
_NEVER: Final = 2_147_483_647
FEWEST_CLOSED: Final = 10_000
"""So many connections must have closed since the last full pass; their garbage is about 15 MiB."""


def leave_old_objects_alone() -> None:
    """Take what is there for permanent, and have no full passes made for growth."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _MIDDLE, _NEVER)


class FullPasses:
    """Makes a full pass once as many connections have closed as are open, and FEWEST_CLOSED at least."""

    def __init__(self, closed: Callable[[], int], still_open: Callable[[], int], collect: Callable[[], object]) -> None:
        self._closed, self._open, self._collect = closed, still_open, collect
        self._closed_before = 0

    def look(self) -> bool:
        """Make a full pass if it is worth its time; returns whether it was."""
        closed = self._closed()
        if closed - self._closed_before < max(FEWEST_CLOSED, self._open()):
            return False
        self._closed_before = closed
        self._collect()
        return True

    async def keep_looking(self) -> None:
        """Look every few seconds until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            self.look()
