"""Bindings that a service keeps as its configuration wants them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import aio_pika

from warren_shared.messaging.amqp import driver
from warren_shared.messaging.port import BindingPlan
from warren_shared.topology.declarations import Binding

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

    async def work(self, connection: aio_pika.abc.AbstractConnection) -> None:
        async with driver.amqp_channel(connection, confirms=False) as channel:
            while True:
                self._changed.clear()
                wanted, unwanted = self._current()
                with driver.translated_errors():
                    async with asyncio.timeout(_BIND_SECONDS):
                        for binding in wanted:
                            await bind(channel, binding)
                        for binding in unwanted:
                            await unbind(channel, binding)
                self.ready = not self._changed.is_set()
                await self._changed.wait()


async def bind(channel: driver.AmqpChannel, binding: Binding) -> None:
    """Make a binding; nothing happens if it is there."""
    if binding.to_exchange:
        await channel.exchange_bind(
            destination=binding.destination, source=binding.source, routing_key=binding.routing_key
        )
    else:
        await channel.queue_bind(binding.destination, binding.source, routing_key=binding.routing_key)


async def unbind(channel: driver.AmqpChannel, binding: Binding) -> None:
    """Remove a binding; nothing happens if it is not there."""
    if binding.to_exchange:
        await channel.exchange_unbind(
            destination=binding.destination, source=binding.source, routing_key=binding.routing_key
        )
    else:
        await channel.queue_unbind(binding.destination, binding.source, routing_key=binding.routing_key)
