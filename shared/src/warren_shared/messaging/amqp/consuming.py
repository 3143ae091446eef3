"""Consuming queues: in batches that are acked together, or as requests that are answered."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Final

import structlog
from opentelemetry.trace import SpanKind

from warren_shared.contracts.codes import Errors
from warren_shared.contracts.rpc import Failed
from warren_shared.messaging.amqp import driver
from warren_shared.messaging.amqp.task_group import task_group
from warren_shared.messaging.port import (
    BatchHandler,
    Delivery,
    Outgoing,
    Publisher,
    RequestHandler,
)
from warren_shared.observability.tracing import Tracing

_WATCH_SECONDS: Final = 1.0
"""How often a consumer looks whether the broker cancelled it, where the driver does not say so."""

_log = structlog.get_logger()


class Intake:
    """Deliveries of one consumer, waiting in order; the prefetch bounds them."""

    def __init__(self, channel: driver.AmqpChannel, queue: str) -> None:
        self._channel, self._queue = channel, queue
        self._waiting: deque[Delivery] = deque()
        self._wake = asyncio.Event()
        channel.on_ended(self._wake.set)

    async def start(self, *, prefetch: int) -> None:
        """Start consuming."""
        async with driver.within(driver.SETUP_SECONDS):
            await self._channel.consume(self._queue, self._on_deliveries, prefetch=prefetch)

    async def take(self, at_most: int) -> Sequence[Delivery]:
        """Wait for deliveries and return up to ``at_most``, or a suspect one alone. Raises BrokerUnavailableError."""
        while not self._waiting:
            self._channel.check()
            self._wake.clear()
            try:
                async with asyncio.timeout(_WATCH_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                continue
        self._channel.check()
        return [self._waiting.popleft() for _ in range(self._together(at_most))]

    async def ack(self, last: Delivery) -> None:
        """Ack everything up to a delivery."""
        async with driver.within(driver.SETUP_SECONDS):
            await self._channel.ack(last.tag)

    def _together(self, at_most: int) -> int:
        for place, delivery in enumerate(islice(self._waiting, at_most)):
            if delivery.redelivered and delivery.is_suspect:
                return place or 1
        return min(at_most, len(self._waiting))

    def _on_deliveries(self, deliveries: Sequence[Delivery]) -> None:
        self._waiting.extend(deliveries)
        self._wake.set()


class BatchConsumer:
    """Hands a queue's deliveries to a handler, batch after batch."""

    def __init__(self, queue: str, handler: BatchHandler, *, max_batch: int, prefetch: int) -> None:
        self.name = queue
        self.ready = False
        self._handler, self._max_batch, self._prefetch = handler, max_batch, prefetch

    async def work(self, connection: driver.Connection) -> None:
        async with connection.amqp_channel(confirms=False) as channel:
            intake = Intake(channel, self.name)
            await intake.start(prefetch=self._prefetch)
            self.ready = True
            try:
                while True:
                    batch = await intake.take(self._max_batch)
                    await self._handler(batch)
                    await intake.ack(batch[-1])
            finally:
                self.ready = False


class RequestServer:
    """Answers the requests of a queue, many at a time."""

    def __init__(
        self, queue: str, handler: RequestHandler, *, concurrency: int, publisher: Publisher, tracing: Tracing
    ) -> None:
        self.name = queue
        self.ready = False
        self._handler, self._publisher, self._tracing = handler, publisher, tracing
        self._concurrency = concurrency

    async def work(self, connection: driver.Connection) -> None:
        async with connection.amqp_channel(confirms=False) as channel:
            intake = Intake(channel, self.name)
            await intake.start(prefetch=self._concurrency * 2)
            self.ready = True
            try:
                async with task_group() as group:
                    await self._take_requests(intake, group)
            finally:
                self.ready = False

    async def _take_requests(self, intake: Intake, group: asyncio.TaskGroup) -> None:
        slots = asyncio.Semaphore(self._concurrency)
        while True:
            requests = await intake.take(self._concurrency)
            await intake.ack(requests[-1])
            for request in requests:
                await slots.acquire()
                group.create_task(self._answer(request, slots))

    async def _answer(self, request: Delivery, slots: asyncio.Semaphore) -> None:
        try:
            if request.reply_to is None:
                _log.warning("request_without_reply_to_dropped", queue=self.name, key=request.routing_key[:64])
                return
            reply = await self._handle(request)
            sent = self._publisher.send(Outgoing("", request.reply_to, reply, correlation_id=request.correlation_id))
            if not sent:
                _log.warning("reply_dropped", queue=self.name)
        finally:
            slots.release()

    async def _handle(self, request: Delivery) -> bytes:
        parent = self._tracing.incoming(request.headers)
        if parent is None:
            return await self._guarded(request)
        attributes = {"messaging.system": "rabbitmq", "messaging.operation.type": "process"}
        with self._tracing.span(
            "process", request.routing_key, kind=SpanKind.SERVER, parent=parent, attributes=attributes
        ):
            return await self._guarded(request)

    async def _guarded(self, request: Delivery) -> bytes:
        try:
            return await self._handler(request)
        except Exception:  # noqa: BLE001 - one request's bug must not end the others; it is logged whole
            _log.exception("request_failed", queue=self.name)
            error = Errors.INTERNAL
            return Failed(code=error.code, reason=error.message, temporary=error.temporary).encode()
