"""When the position of a quiet durable channel is compared with history's."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import Final, Generic, Protocol, TypeVar


class Checked(Protocol):
    """A channel that is checked while it is quiet."""

    active: bool
    """Whether anything arrived since it was last looked at; then that was the check."""


_LOOKS_EVERY: Final = 0.25
"""Of an interval."""

AnyChecked = TypeVar("AnyChecked", bound=Checked)


class PositionChecks(Generic[AnyChecked]):
    """Has a channel checked once nothing came for about ``interval`` seconds, and again and again while
    nothing comes; at most ``per_call`` at a time.

    Channels are looked at more often than that, so that a publication, which only raises a flag, need not
    know when it came. ``jitter`` returns random numbers between 0 and 1, so that channels that were
    followed at one moment are not all checked at one moment.
    """

    def __init__(self, interval: float, per_call: int, jitter: Callable[[], float]) -> None:
        self._interval, self._per_call, self._jitter = interval, per_call, jitter
        self._looks: list[tuple[float, int, float, AnyChecked]] = []
        """When to look next, a number that tells equals apart, when to check if it stays quiet, whom."""
        self._members: set[AnyChecked] = set()
        self._sequence = count()

    def add(self, channel: AnyChecked, now: float) -> None:
        """Look at a channel from now on."""
        self._members.add(channel)
        self._push(channel, now, now + self._quiet())

    def remove(self, channel: AnyChecked) -> None:
        """Look at a channel no more."""
        self._members.discard(channel)

    def due(self, now: float) -> list[AnyChecked]:
        """Return the channels to check now."""
        quiet: list[AnyChecked] = []
        while self._looks and self._looks[0][0] <= now and len(quiet) < self._per_call:
            _, _, check, channel = heappop(self._looks)
            if channel not in self._members:
                continue
            if channel.active:
                # What came may have come right after the look before.
                check = now - self._interval * _LOOKS_EVERY + self._quiet()
            elif check <= now:
                quiet.append(channel)
                check = now + self._quiet()
            channel.active = False
            self._push(channel, now, check)
        return quiet

    def _quiet(self) -> float:
        return self._interval * (0.75 + 0.5 * self._jitter())

    def _push(self, channel: AnyChecked, now: float, check: float) -> None:
        look = min(check, now + self._interval * _LOOKS_EVERY)
        heappush(self._looks, (look, next(self._sequence), check, channel))
