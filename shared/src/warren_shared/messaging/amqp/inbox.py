"""A process's own delivery queue: exclusive, auto-acked, under a fresh name for each connection."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence

import aio_pika
from aiormq.abc import DeliveredMessage
from pamqp.common import FieldValue

from warren_shared.messaging.amqp import driver
from warren_shared.messaging.port import BindKey, BrokerUnavailableError, Delivery, InboxListener


class AmqpInbox:
    """The inbox of the port. A fixed queue name would collide with a half-open predecessor's."""

    name = "inbox"

    def __init__(self, service: str, listener: InboxListener, *, max_length: int) -> None:
        self._service, self._listener, self._max_length = service, listener, max_length
        self._channel: driver.AmqpChannel | None = None
        self._queue = ""
        self._pending: list[Delivery] = []
        self.ready = False

    @property
    def is_open(self) -> bool:
        return self._channel is not None

    async def work(self, connection: aio_pika.abc.AbstractConnection) -> None:
        async with driver.amqp_channel(connection, confirms=False) as channel:
            tag = await self._declare(channel)
            self._channel = channel
            try:
                await self._listener.on_open(self)
                self.ready = True
                await driver.wait_consumer_gone(channel, tag)
            finally:
                self.ready = False
                self._channel = None
                self._pending.clear()
                self._listener.on_lost()
            raise BrokerUnavailableError("the inbox is gone")

    async def bind(self, keys: Sequence[BindKey], *, deadline: float) -> None:
        """Bind all keys, pipelined on one amqp channel."""
        channel = self._require_channel()
        with driver.translated_errors():
            async with asyncio.timeout(deadline):
                for exchange, key in keys:
                    await channel.queue_bind(self._queue, exchange, routing_key=key)

    async def unbind(self, keys: Sequence[BindKey], *, deadline: float) -> None:
        """Unbind all keys."""
        channel = self._require_channel()
        with driver.translated_errors():
            async with asyncio.timeout(deadline):
                for exchange, key in keys:
                    await channel.queue_unbind(self._queue, exchange, routing_key=key)

    def _require_channel(self) -> driver.AmqpChannel:
        if self._channel is None:
            raise BrokerUnavailableError("there is no connection to the broker")
        return self._channel

    async def _declare(self, channel: driver.AmqpChannel) -> str | None:
        self._queue = f"warren.{self._service}.{secrets.token_hex(8)}"
        arguments: dict[str, FieldValue] = {
            "x-queue-type": "classic",
            "x-max-length": self._max_length,
            "x-overflow": "drop-head",
        }
        with driver.translated_errors():
            async with asyncio.timeout(driver.SETUP_SECONDS):
                await channel.queue_declare(self._queue, exclusive=True, auto_delete=True, arguments=arguments)
                consuming = await channel.basic_consume(self._queue, self._on_message, no_ack=True)
        return consuming.consumer_tag

    async def _on_message(self, message: DeliveredMessage) -> None:
        # Deliveries of one loop turn are handed over together.
        if not self._pending:
            asyncio.get_running_loop().call_soon(self._hand_over)
        self._pending.append(driver.delivery_of(message))

    def _hand_over(self) -> None:
        batch, self._pending = self._pending, []
        if batch:
            self._listener.on_deliveries(batch)
