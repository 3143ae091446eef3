"""The queue on which a process awaits replies to what it asked."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from warren_shared.messaging.amqp import driver
from warren_shared.messaging.port import BrokerUnavailableError, Delivery
from warren_shared.topology.declarations import Binding


class ReplyQueue:
    """An exclusive queue, under a fresh name for each connection, and whoever waits for a reply on it.

    Without ``exchange`` replies come through the default one; with it also through that, under the queue's name.
    """

    def __init__(self, service: str, *, exchange: str | None = None) -> None:
        self._service, self._exchange = service, exchange
        self._waiting: dict[str, asyncio.Future[Delivery]] = {}
        self._name: str | None = None

    @property
    def ready(self) -> bool:
        """Whether replies arrive now."""
        return self._name is not None

    @property
    def name(self) -> str:
        """What to write into ``reply_to``. Raises BrokerUnavailableError while there is no queue."""
        if self._name is None:
            raise BrokerUnavailableError("there is no connection to the broker")
        return self._name

    async def work(self, connection: driver.Connection) -> None:
        """Set the queue up and take replies until the connection ends."""
        async with connection.amqp_channel(confirms=False) as channel:
            name = f"warren.reply.{self._service}.{secrets.token_hex(8)}"
            async with driver.within(driver.SETUP_SECONDS):
                await channel.declare_queue(
                    name, exclusive=True, auto_delete=True, arguments={"x-queue-type": "classic"}
                )
                if self._exchange is not None:
                    await channel.bind((Binding(self._exchange, name, name),))
                await channel.consume(name, self._on_replies)
            self._name = name
            try:
                await channel.wait_ended()
            finally:
                self._name = None
                self._fail_all()

    @contextmanager
    def awaiting(self, correlation_id: str) -> Iterator[asyncio.Future[Delivery]]:
        """Have a future of the reply in the block; what comes after it is dropped."""
        reply: asyncio.Future[Delivery] = asyncio.get_running_loop().create_future()
        self._waiting[correlation_id] = reply
        try:
            yield reply
        finally:
            del self._waiting[correlation_id]
            if not reply.cancel() and not reply.cancelled():
                reply.exception()  # looked at, if the block ended before it could be

    def _on_replies(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            reply = self._waiting.get(delivery.correlation_id or "")
            if reply is not None and not reply.done():
                reply.set_result(delivery)

    def _fail_all(self) -> None:
        for reply in self._waiting.values():
            if not reply.done():
                reply.set_exception(BrokerUnavailableError("the connection to the broker was lost"))
