"""Requests to other services, and calls of backends."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import replace
from itertools import count

from opentelemetry.trace import SpanKind

from warren_shared.messaging.amqp import driver
from warren_shared.messaging.amqp.publishing import ConfirmedPublisher
from warren_shared.messaging.amqp.replies import ReplyQueue
from warren_shared.messaging.port import (
    BrokerUnavailableError,
    DeadlineExceededError,
    Delivery,
    Outgoing,
    Publisher,
)
from warren_shared.observability.tracing import Tracing
from warren_shared.topology.catalogue import ExchangeName


class AmqpRequester:
    """Publishes requests and matches replies by correlation id.

    An exclusive queue rather than direct reply-to, which wants requests published on the consuming
    connection: that one must not be blocked by a broker alarm (RabbitMQ: Direct Reply-to, Alarms).
    """

    name = "requester"

    def __init__(self, service: str, publisher: Publisher, tracing: Tracing) -> None:
        self._publisher, self._tracing = publisher, tracing
        self._replies = ReplyQueue(service)
        self._ids = count(1)

    @property
    def ready(self) -> bool:
        return self._replies.ready

    async def work(self, connection: driver.Connection) -> None:
        await self._replies.work(connection)

    async def request(self, exchange: str, routing_key: str, body: bytes, *, deadline: float) -> bytes:
        """Ask and wait for the reply, as the port promises."""
        reply_to = self._replies.name
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
        request = replace(message, correlation_id=correlation_id, expiration_ms=int(deadline * 1000))
        with self._replies.awaiting(correlation_id) as reply:
            if not self._publisher.send(request):
                raise BrokerUnavailableError("the request could not be sent")
            try:
                async with asyncio.timeout(deadline):
                    return (await reply).body
            except TimeoutError as error:
                raise DeadlineExceededError(f"no reply from {message.exchange} in {deadline} s") from error


class AmqpCaller:
    """Implements warren_shared.messaging.port.Caller.

    Its queue is not the requester's, and its correlation ids cannot be guessed: who answers a call learns
    ``reply_to``, and must not be able to speak for auth, or for another backend.
    """

    name = "caller"

    def __init__(self, service: str, publisher: ConfirmedPublisher) -> None:
        """``publisher`` is the caller's own: one message the broker refuses fails all that are under way on it."""
        self._publisher, self._replies = publisher, ReplyQueue(service, exchange=ExchangeName.REPLIES)

    @property
    def ready(self) -> bool:
        return self._replies.ready

    async def work(self, connection: driver.Connection) -> None:
        await self._replies.work(connection)

    async def call(self, message: Outgoing, *, deadline: float) -> Delivery:
        """See the port."""
        call_id = secrets.token_hex(16)
        call = replace(
            message,
            message_id=call_id,
            correlation_id=call_id,
            reply_to=self._replies.name,
            expiration_ms=int(deadline * 1000),
            mandatory=True,
        )
        with self._replies.awaiting(call_id) as reply:
            try:
                async with asyncio.timeout(deadline):
                    await self._publisher.publish(call, deadline=deadline)
                    return await reply
            except TimeoutError as error:
                raise DeadlineExceededError(f"no reply from {message.exchange} in {deadline} s") from error
