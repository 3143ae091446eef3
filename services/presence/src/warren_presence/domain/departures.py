"""The latest leaves of a partition, by which one that is delivered again is recognised."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

KEPT: Final = 2048
"""More than a consumer can have unacked, so more than can be delivered again."""


class Departures:
    """The latest leaves: who left which channel."""

    def __init__(self) -> None:
        self._latest: OrderedDict[tuple[str, str], None] = OrderedDict()

    def add(self, channel: str, client: str) -> bool:
        """Take note of a leave; return whether it is new."""
        if (channel, client) in self._latest:
            return False
        self._latest[channel, client] = None
        if len(self._latest) > KEPT:
            self._latest.popitem(last=False)
        return True

    def discard(self, channel: str, client: str) -> bool:
        """Take note that somebody is there; return whether its leave was the latest that is known of it."""
        known = (channel, client) in self._latest
        self._latest.pop((channel, client), None)
        return known

    def clear(self) -> None:
        """Forget all."""
        self._latest.clear()
