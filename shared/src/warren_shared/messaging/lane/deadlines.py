"""When those who wait for confirms give up: one timer for a whole amqp channel."""

from __future__ import annotations

import asyncio
import math
from typing import Final

from warren_shared.messaging.lane.confirms import Confirms

_LOOKS_APART: Final = 0.02
"""Seconds between two looks at all that wait: a deadline may be told so much late where very many end."""


class Deadlines:
    """Looks at what is unsettled when the first deadline is reached. Most publishes are confirmed long before theirs: a
    timer for each would be made and cancelled for nothing.
    """

    def __init__(self, confirms: Confirms, loop: asyncio.AbstractEventLoop) -> None:
        self._confirms, self._loop = confirms, loop
        self._timer: asyncio.TimerHandle | None = None
        """Goes off no later than the first deadline of those who wait."""

    def watch(self, until: float) -> None:
        """Somebody waits until then, in the event loop's time."""
        if self._timer is None or until < self._timer.when():
            self.stop()
            self._timer = self._loop.call_at(until, self._look)

    def stop(self) -> None:
        """Nobody waits any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        now = self._loop.time()
        following = math.inf
        for settlement in self._confirms.unsettled():
            if settlement.until <= now:
                settlement.expire()
            elif settlement.until < following:
                following = settlement.until
        if following < math.inf:
            self.watch(max(following, now + _LOOKS_APART))
