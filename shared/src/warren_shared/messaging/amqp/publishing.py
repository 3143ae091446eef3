"""Publishing: confirmed and awaited, or fire and forget."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final

import aio_pika
import structlog

from warren_shared.messaging.amqp import driver
from warren_shared.messaging.amqp.task_group import task_group
from warren_shared.messaging.port import BrokerUnavailableError, BusError, Outgoing, UnsendableMessageError

_log = structlog.get_logger()

SEND_QUEUE: Final = 10_000
"""Messages that ``send`` holds at most; beyond that they are dropped."""


class ConfirmedPublisher:
    """Publishes on an amqp channel with confirms."""

    name = "publisher"

    def __init__(self) -> None:
        self._channel: driver.AmqpChannel | None = None
        self.published = self.failed = 0

    @property
    def ready(self) -> bool:
        return self._channel is not None and not self._channel.is_closed

    async def work(self, connection: aio_pika.abc.AbstractConnection) -> None:
        async with driver.amqp_channel(connection, confirms=True) as channel:
            self._channel = channel
            try:
                with driver.translated_errors():
                    await channel.closing
            finally:
                self._channel = None
            raise BrokerUnavailableError("the amqp channel was closed")

    async def publish(self, message: Outgoing, *, deadline: float) -> None:
        """Publish and wait for the confirm, as the port promises."""
        channel = self._channel
        if channel is None:
            self.failed += 1
            raise BrokerUnavailableError("there is no connection to the broker")
        try:
            with driver.translated_errors():
                async with asyncio.timeout(deadline):
                    await driver.publish(channel, message)
        except BusError:
            self.failed += 1
            raise
        self.published += 1

    async def publish_all(self, messages: Sequence[Outgoing], *, deadline: float) -> None:
        """Publish in order, keeping many unconfirmed at a time."""
        if len(messages) == 1:
            await self.publish(messages[0], deadline=deadline)
            return
        async with task_group() as group:
            # Tasks start in the order of creation and queue at the client's first-come
            # first-served write lock: the order on the wire is the order of the sequence.
            for message in messages:
                group.create_task(self.publish(message, deadline=deadline))


class Sender:
    """Publishes without anyone waiting.

    With ``one_by_one`` each message waits for the confirm of the one before: then nothing is on its way
    when the broker refuses one and closes the amqp channel, which would break the whole connection.
    """

    def __init__(self, name: str = "sender", *, one_by_one: bool = False) -> None:
        self.name, self._one_by_one = name, one_by_one
        self._channel: driver.AmqpChannel | None = None
        self._waiting: deque[Outgoing] = deque()
        self._wake = asyncio.Event()
        self.sent = self.dropped = 0

    @property
    def ready(self) -> bool:
        return self._channel is not None and not self._channel.is_closed

    async def work(self, connection: aio_pika.abc.AbstractConnection) -> None:
        async with driver.amqp_channel(connection, confirms=self._one_by_one) as channel:
            channel.closing.add_done_callback(self._on_closed)
            self._channel = channel
            try:
                with driver.translated_errors():
                    await self._drain(channel)
            finally:
                self._channel = None
                self.dropped += len(self._waiting)
                self._waiting.clear()

    def send(self, message: Outgoing) -> bool:
        """Queue the message, or drop it and return False."""
        if not self.ready or len(self._waiting) >= SEND_QUEUE:
            self.dropped += 1
            return False
        self._waiting.append(message)
        self._wake.set()
        return True

    async def _drain(self, channel: driver.AmqpChannel) -> None:
        while not channel.is_closed:
            while self._waiting:
                await self._send_first(channel)
            self._wake.clear()
            await self._wake.wait()
        raise BrokerUnavailableError("the amqp channel was closed")

    async def _send_first(self, channel: driver.AmqpChannel) -> None:
        try:
            await driver.publish(channel, self._waiting[0])
            self.sent += 1
        except UnsendableMessageError as error:
            self.dropped += 1
            _log.error("unsendable_message_dropped", exchange=self._waiting[0].exchange, reason=str(error))
            if self._one_by_one:
                self._waiting.popleft()
                raise BrokerUnavailableError("the broker closes the amqp channel") from error
        self._waiting.popleft()

    def _on_closed(self, closing: asyncio.Future[object]) -> None:
        driver.retrieve(closing)
        self._wake.set()
