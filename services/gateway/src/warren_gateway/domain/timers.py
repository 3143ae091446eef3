"""One timer wheel for all connections: pings, pong timeouts, expiries and other deadlines.

An asyncio timer for each connection would cost a heap entry and several objects apiece. The wheel
is coarse instead: what is due is handed out up to one tick late, never early.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil
from typing import Final, Generic, TypeVar

Item = TypeVar("Item")

UNSCHEDULED: Final = -1
"""The slot of what waits for nothing."""


class TimerWheel(Generic[Item]):
    """Items by the tick at which they are due. An item knows its own slot, so nothing is searched."""

    __slots__ = ("_next", "_slots", "tick")

    def __init__(self, tick: float, now: float) -> None:
        """``tick`` is the resolution in seconds."""
        self.tick = tick
        self._slots: dict[int, set[Item]] = {}
        self._next = int(now / tick)

    def __len__(self) -> int:
        """Return how many items wait."""
        return sum(map(len, self._slots.values()))

    def schedule(self, item: Item, at: float) -> int:
        """Have an item handed out at ``at`` or up to a tick later; returns the slot to cancel it by."""
        slot = max(ceil(at / self.tick), self._next)
        self._slots.setdefault(slot, set()).add(item)
        return slot

    def cancel(self, item: Item, slot: int) -> None:
        """Take an item out of its slot; does nothing if it is not there any more."""
        items = self._slots.get(slot)
        if items is not None:
            items.discard(item)
            if not items:
                del self._slots[slot]

    def advance(self, now: float) -> Iterable[Item]:
        """Hand out what is due. Items scheduled meanwhile are due at the next call at the earliest."""
        reached = int(now / self.tick)
        due: list[Item] = []
        # After a long stall there may be more ticks to pass than slots in use.
        passed = range(self._next, reached + 1)
        slots = passed if len(passed) <= len(self._slots) else sorted(slot for slot in self._slots if slot <= reached)
        for slot in slots:
            due += self._slots.pop(slot, ())
        self._next = max(self._next, reached + 1)
        return due
