"""Requests and their replies, over an exclusive reply queue."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from itertools import count

from opentelemetry.trace import SpanKind

from warren_shared.messaging.amqp import driver
from warren_shared.messaging.port import (
    BrokerUnavailableError,
    DeadlineExceededError,
    Delivery,
    Outgoing,
    Publisher,
)
from warren_shared.observability.tracing import Tracing


class AmqpRequester:
    """Publishes requests and matches replies by correlation id.

    An exclusive queue rather than direct reply-to, which wants requests published on the consuming
    connection: that one must not be blocked by a broker alarm (RabbitMQ: Direct Reply-to, Alarms).
    """

    name = "requester"

    def __init__(self, service: str, publisher: Publisher, tracing: Tracing) -> None:
        self._service, self._publisher, self._tracing = service, publisher, tracing
        self._queue: str | None = None
        self._waiting: dict[str, asyncio.Future[bytes]] = {}
        self._ids = count(1)

    @property
    def ready(self) -> bool:
        return self._queue is not None

    async def work(self, connection: driver.Connection) -> None:
        async with connection.amqp_channel(confirms=False) as channel:
            queue = f"warren.reply.{self._service}.{secrets.token_hex(8)}"
            async with driver.within(driver.SETUP_SECONDS):
                await channel.declare_queue(
                    queue, exclusive=True, auto_delete=True, arguments={"x-queue-type": "classic"}
                )
                await channel.consume(queue, self._on_replies)
            self._queue = queue
            try:
                await channel.wait_ended()
            finally:
                self._queue = None
                self._fail_all()

    async def request(self, exchange: str, routing_key: str, body: bytes, *, deadline: float) -> bytes:
        """Ask and wait for the reply, as the port promises."""
        reply_to = self._queue
        if reply_to is None:
            raise BrokerUnavailableError("there is no connection to the broker")
        # The method, not a channel's key, names the span: on warren.presence the key is a channel's.
        method = routing_key if exchange == "warren.rpc" else "query"
        if not self._tracing.spans_roots():
            return await self._exchange(Outgoing(exchange, routing_key, body, reply_to=reply_to), deadline)
        attributes = {"messaging.system": "rabbitmq", "messaging.operation.type": "send"}
        with self._tracing.span("request", f"{exchange} {method}", kind=SpanKind.CLIENT, attributes=attributes):
            headers = self._tracing.outgoing()
            return await self._exchange(
                Outgoing(exchange, routing_key, body, headers=headers, reply_to=reply_to), deadline
            )

    async def _exchange(self, message: Outgoing, deadline: float) -> bytes:
        correlation_id = str(next(self._ids))
        reply: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[correlation_id] = reply
        request = Outgoing(
            message.exchange,
            message.routing_key,
            message.body,
            headers=message.headers,
            correlation_id=correlation_id,
            reply_to=message.reply_to,
            expiration_ms=int(deadline * 1000),
        )
        try:
            if not self._publisher.send(request):
                raise BrokerUnavailableError("the request could not be sent")
            async with asyncio.timeout(deadline):
                return await reply
        except TimeoutError as error:
            raise DeadlineExceededError(f"no reply from {message.exchange} in {deadline} s") from error
        finally:
            del self._waiting[correlation_id]

    def _on_replies(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            reply = self._waiting.get(delivery.correlation_id or "")
            if reply is not None and not reply.done():
                reply.set_result(delivery.body)

    def _fail_all(self) -> None:
        for reply in self._waiting.values():
            if not reply.done():
                reply.set_exception(BrokerUnavailableError("the connection to the broker was lost"))
