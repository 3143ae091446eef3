"""When the position of a quiet durable channel is compared with history's."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import Generic, Protocol, TypeVar


class Checked(Protocol):
    """A channel that is checked while it is quiet."""

    active: bool
    """Whether anything arrived since it was last looked at; then that was the check."""


AnyChecked = TypeVar("AnyChecked", bound=Checked)


class PositionChecks(Generic[AnyChecked]):
    """Looks at every channel about each ``interval`` seconds, at most ``per_call`` at a time.

    ``jitter`` returns random numbers between 0 and 1, so that channels that were followed at one
    moment are not all checked at one moment.
    """

    def __init__(self, interval: float, per_call: int, jitter: Callable[[], float]) -> None:
        self._interval, self._per_call, self._jitter = interval, per_call, jitter
        self._due: list[tuple[float, int, AnyChecked]] = []
        self._members: set[AnyChecked] = set()
        self._sequence = count()

    def add(self, channel: AnyChecked, now: float) -> None:
        """Look at a channel from now on."""
        self._members.add(channel)
        self._push(channel, now)

    def remove(self, channel: AnyChecked) -> None:
        """Look at a channel no more."""
        self._members.discard(channel)

    def due(self, now: float) -> list[AnyChecked]:
        """Return the channels to check now."""
        quiet: list[AnyChecked] = []
        while self._due and self._due[0][0] <= now and len(quiet) < self._per_call:
            channel = heappop(self._due)[2]
            if channel not in self._members:
                continue
            if not channel.active:
                quiet.append(channel)
            channel.active = False
            self._push(channel, now)
        return quiet

    def _push(self, channel: AnyChecked, now: float) -> None:
        due = now + self._interval * (0.75 + 0.5 * self._jitter())
        heappush(self._due, (due, next(self._sequence), channel))
