"""A process's own delivery queue: exclusive, auto-acked, under a fresh name for each connection."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Final

from warren_shared.messaging.amqp import driver
from warren_shared.messaging.port import BindKey, BrokerUnavailableError, Delivery, Headers, InboxListener
from warren_shared.topology.declarations import Binding

MAX_BYTES: Final = 536_870_912
"""What the broker keeps for a process that does not keep up; a message may be of 200 bytes or of a megabyte."""


class AmqpInbox:
    """The inbox of the port. A fixed queue name would collide with a half-open predecessor's."""

    name = "inbox"

    def __init__(self, service: str, listener: InboxListener, *, max_length: int) -> None:
        self._service, self._listener, self._max_length = service, listener, max_length
        self._channel: driver.AmqpChannel | None = None
        self._queue = ""
        self.ready = False

    @property
    def is_open(self) -> bool:
        return self._channel is not None

    async def work(self, connection: driver.Connection) -> None:
        async with connection.amqp_channel(confirms=False) as channel:
            await self._declare(channel)
            self._channel = channel
            try:
                await self._listener.on_open(self)
                self.ready = True
                await channel.wait_ended()
            finally:
                self.ready = False
                self._channel = None
                self._listener.on_lost()

    async def bind(self, keys: Sequence[BindKey], *, deadline: float) -> None:
        """Bind all keys."""
        channel = self._require_channel()
        async with driver.within(deadline):
            await channel.bind([Binding(exchange, self._queue, key) for exchange, key in keys])

    async def unbind(self, keys: Sequence[BindKey], *, deadline: float) -> None:
        """Unbind all keys."""
        channel = self._require_channel()
        async with driver.within(deadline):
            await channel.unbind([Binding(exchange, self._queue, key) for exchange, key in keys])

    def _require_channel(self) -> driver.AmqpChannel:
        if self._channel is None:
            raise BrokerUnavailableError("there is no connection to the broker")
        return self._channel

    async def _declare(self, channel: driver.AmqpChannel) -> None:
        self._queue = f"warren.{self._service}.{secrets.token_hex(8)}"
        arguments: Headers = {
            "x-queue-type": "classic",
            "x-max-length": self._max_length,
            "x-max-length-bytes": MAX_BYTES,
            "x-overflow": "drop-head",
        }
        async with driver.within(driver.SETUP_SECONDS):
            await channel.declare_queue(self._queue, exclusive=True, auto_delete=True, arguments=arguments)
            await channel.consume(self._queue, self._on_deliveries)

    def _on_deliveries(self, deliveries: Sequence[Delivery]) -> None:
        # What comes before the listener was told that the inbox is open is nothing it asked for.
        if self._channel is not None:
            self._listener.on_deliveries(deliveries)
