"""The bus: two links, one that publishes and one that consumes.

RabbitMQ blocks publishing connections under a memory or disk alarm; a connection that only consumes
is left alone (RabbitMQ: Alarms).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from warren_shared.messaging.amqp.bindings import BindingKeeper
from warren_shared.messaging.amqp.consuming import BatchConsumer, RequestServer
from warren_shared.messaging.amqp.driver import Connect
from warren_shared.messaging.amqp.inbox import AmqpInbox
from warren_shared.messaging.amqp.link import Link
from warren_shared.messaging.amqp.publishing import ConfirmedPublisher, Sender
from warren_shared.messaging.amqp.requesting import AmqpCaller, AmqpRequester
from warren_shared.messaging.port import (
    BatchHandler,
    BindingPlan,
    Caller,
    DeadlineExceededError,
    InboxListener,
    Outgoing,
    RequestHandler,
)
from warren_shared.observability.metrics import MetricSpec, Reading
from warren_shared.observability.tracing import Tracing
from warren_shared.topology.catalogue import ExchangeName

_POLL_SECONDS: Final = 0.02

CONNECTED: Final = MetricSpec("warren_broker_connected", "gauge", "1 while the connection stands.", ("link",))
CONNECTS: Final = MetricSpec("warren_broker_connects", "counter", "Connections made; more than one: broken.", ("link",))
PUBLISHED: Final = MetricSpec("warren_messages_published", "counter", "Messages given to the broker.", ("mode",))
FAILED: Final = MetricSpec(
    "warren_messages_publish_failed",
    "counter",
    "Messages the broker did not take: down, blocked or refusing.",
    ("mode",),
)
CATALOGUE: Final = (CONNECTED, CONNECTS, PUBLISHED, FAILED)


class AmqpBus:
    """Implements warren_shared.messaging.port.Bus."""

    def __init__(self, connect: Connect, url: str, *, service: str, heartbeat: int, tracing: Tracing) -> None:
        """``connect`` is the driver."""
        self._service, self._tracing = service, tracing
        self._publishing = Link(connect, url, name=f"warren-{service} publish", heartbeat=heartbeat)
        self._consuming = Link(connect, url, name=f"warren-{service} consume", heartbeat=heartbeat)
        self._publisher, self._sender = ConfirmedPublisher(), Sender()
        self._call_publisher = ConfirmedPublisher("call publisher")
        # Its own amqp channel: a dead letter carries what somebody else wrote, and if the broker closes
        # the amqp channel for it, no request or reply may go down with that.
        self._dead_letters = Sender("dead-letter sender", one_by_one=True)
        self._requester = AmqpRequester(service, self, tracing)
        self._publishing.add(self._publisher)
        self._publishing.add(self._sender)
        self._publishing.add(self._dead_letters)
        self._consuming.add(self._requester)

    async def publish(self, message: Outgoing, *, deadline: float) -> None:
        """See the port."""
        await self._publisher.publish(message, deadline=deadline)

    async def publish_all(self, messages: Sequence[Outgoing], *, deadline: float) -> None:
        """See the port."""
        if messages:
            await self._publisher.publish_all(messages, deadline=deadline)

    def send(self, message: Outgoing) -> bool:
        """See the port."""
        sender = self._dead_letters if message.exchange == ExchangeName.DEAD else self._sender
        return sender.send(message)

    async def request(self, exchange: str, routing_key: str, body: bytes, *, deadline: float) -> bytes:
        """See the port."""
        return await self._requester.request(exchange, routing_key, body, deadline=deadline)

    def consume(self, queue: str, handler: BatchHandler, *, max_batch: int = 256, prefetch: int = 512) -> None:
        """See the port."""
        self._consuming.add(BatchConsumer(queue, handler, max_batch=max_batch, prefetch=prefetch))

    def serve(self, queue: str, handler: RequestHandler, *, concurrency: int = 64) -> None:
        """See the port."""
        self._consuming.add(
            RequestServer(queue, handler, concurrency=concurrency, publisher=self, tracing=self._tracing)
        )

    def open_calls(self) -> Caller:
        """See the port."""
        caller = AmqpCaller(self._service, self._call_publisher)
        self._publishing.add(self._call_publisher)
        self._consuming.add(caller)
        return caller

    def open_inbox(self, listener: InboxListener, *, max_length: int = 100_000) -> None:
        """See the port."""
        self._consuming.add(AmqpInbox(self._service, listener, max_length=max_length))

    def keep_bindings(self, current: Callable[[], BindingPlan]) -> Callable[[], None]:
        """See the port."""
        keeper = BindingKeeper(current)
        self._consuming.add(keeper)
        return keeper.apply

    async def run(self) -> None:
        """See the port."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._publishing.run(), name="publish link")
            group.create_task(self._consuming.run(), name="consume link")

    async def wait_ready(self, *, deadline: float) -> None:
        """See the port."""
        try:
            async with asyncio.timeout(deadline):
                while not self.ready:  # noqa: ASYNC110 - readiness is derived from many stations
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError as error:
            raise DeadlineExceededError("the broker was not ready in time") from error

    @property
    def connected(self) -> bool:
        """See the port."""
        return self._publishing.connected and self._consuming.connected

    @property
    def ready(self) -> bool:
        """See the port."""
        return self._publishing.ready and self._consuming.ready

    def readings(self) -> Iterable[Reading]:
        """Return the bus's metrics."""
        for label, link in (("publish", self._publishing), ("consume", self._consuming)):
            yield Reading(CONNECTED, float(link.connected), (label,))
            yield Reading(CONNECTS, link.connects, (label,))
        publishers = (self._publisher, self._call_publisher)
        yield Reading(PUBLISHED, sum(publisher.published for publisher in publishers), ("confirmed",))
        senders = (self._sender, self._dead_letters)
        yield Reading(PUBLISHED, sum(sender.sent for sender in senders), ("sent",))
        yield Reading(FAILED, sum(publisher.failed for publisher in publishers), ("confirmed",))
        yield Reading(FAILED, sum(sender.dropped for sender in senders), ("sent",))
