"""Bindings that a service keeps as its configuration wants them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from warren_shared.messaging.amqp import driver
from warren_shared.messaging.port import BindingPlan

_BIND_SECONDS: Final = 30.0


class BindingKeeper:
    """Applies a binding plan at every connect, and whenever it is told to."""

    name = "bindings"

    def __init__(self, current: Callable[[], BindingPlan]) -> None:
        self._current = current
        self._changed = asyncio.Event()
        self.ready = False

    def apply(self) -> None:
        """Have the plan applied again soon."""
        self.ready = False
        self._changed.set()

    async def work(self, connection: driver.Connection) -> None:
        async with connection.amqp_channel(confirms=False) as channel:
            while True:
                self._changed.clear()
                wanted, unwanted = self._current()
                async with driver.within(_BIND_SECONDS):
                    await channel.bind(tuple(wanted))
                    await channel.unbind(tuple(unwanted))
                self.ready = not self._changed.is_set()
                await self._changed.wait()
