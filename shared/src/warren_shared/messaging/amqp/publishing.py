"""Publishing: confirmed and awaited, or fire and forget."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import structlog

from warren_shared.messaging.amqp import driver
from warren_shared.messaging.port import (
    BrokerUnavailableError,
    BusError,
    Outgoing,
    UnroutableError,
    UnsendableMessageError,
)

_log = structlog.get_logger()

SEND_QUEUE: Final = 10_000
"""Messages that ``send`` holds at most; beyond that they are dropped."""
SEND_BYTES: Final = 64 * 2**20
"""Bytes of their bodies that ``send`` holds at most; replies may be large, and come as long as requests do."""

_AT_ONCE: Final = 100
WRITE_SECONDS: Final = 3600.0
"""How long ``send``'s first message may wait for a broker that takes nothing; those behind it are bounded."""


class ConfirmedPublisher:
    """Publishes on an amqp channel with confirms."""

    def __init__(self, name: str = "publisher") -> None:
        self.name = name
        self._channel: driver.AmqpChannel | None = None
        self.published = self.failed = 0

    @property
    def ready(self) -> bool:
        return self._channel is not None and not self._channel.is_closed

    async def work(self, connection: driver.Connection) -> None:
        async with connection.amqp_channel(confirms=True) as channel:
            self._channel = channel
            try:
                await channel.wait_ended()
            finally:
                self._channel = None

    async def publish(self, message: Outgoing, *, deadline: float) -> None:
        """Publish and wait for the confirm, as the port promises."""
        with self._counting(1):
            await self._open_channel().publish(message, deadline=deadline)

    async def publish_all(self, messages: Sequence[Outgoing], *, deadline: float) -> None:
        """Publish in order, keeping many unconfirmed at a time."""
        with self._counting(len(messages)):
            await self._open_channel().publish_all(messages, deadline=deadline)

    def _open_channel(self) -> driver.AmqpChannel:
        if self._channel is None:
            raise BrokerUnavailableError("there is no connection to the broker")
        return self._channel

    @contextmanager
    def _counting(self, messages: int) -> Iterator[None]:
        try:
            yield
        except UnroutableError:
            self.published += messages
            raise
        except BusError:
            self.failed += messages
            raise
        self.published += messages


class Sender:
    """Publishes without anyone waiting.

    With ``one_by_one`` each message waits for the confirm of the one before: then nothing is on its way
    when the broker refuses one and closes the amqp channel, which would break the whole connection.
    """

    def __init__(self, name: str = "sender", *, one_by_one: bool = False) -> None:
        self.name, self._one_by_one = name, one_by_one
        self._channel: driver.AmqpChannel | None = None
        self._waiting: deque[Outgoing] = deque()
        self._waiting_bytes = 0
        self._wake = asyncio.Event()
        self.sent = self.dropped = 0

    @property
    def ready(self) -> bool:
        return self._channel is not None and not self._channel.is_closed

    async def work(self, connection: driver.Connection) -> None:
        async with connection.amqp_channel(confirms=self._one_by_one) as channel:
            channel.on_ended(self._wake.set)
            self._channel = channel
            try:
                await self._drain(channel)
            finally:
                self._channel = None
                self.dropped += len(self._waiting)
                self._waiting.clear()
                self._waiting_bytes = 0

    def send(self, message: Outgoing) -> bool:
        """Queue the message, or drop it and return False."""
        if not self.ready or not self._has_room(message):
            self.dropped += 1
            return False
        self._waiting.append(message)
        self._waiting_bytes += len(message.body)
        self._wake.set()
        return True

    def _has_room(self, message: Outgoing) -> bool:
        if not self._waiting:
            return True
        return len(self._waiting) < SEND_QUEUE and self._waiting_bytes + len(message.body) <= SEND_BYTES

    def _drop_first(self) -> None:
        self._waiting_bytes -= len(self._waiting.popleft().body)

    async def _drain(self, channel: driver.AmqpChannel) -> None:
        while not channel.is_closed:
            for _ in range(min(len(self._waiting), _AT_ONCE)):
                await self._send_first(channel)
            if self._waiting:
                await asyncio.sleep(0)  # a driver that need not wait would keep the loop from everything else
                continue
            self._wake.clear()
            await self._wake.wait()
        channel.check()

    async def _send_first(self, channel: driver.AmqpChannel) -> None:
        try:
            send = channel.publish if self._one_by_one else channel.write
            await send(self._waiting[0], deadline=WRITE_SECONDS)
            self.sent += 1
        except UnsendableMessageError as error:
            self.dropped += 1
            _log.error("unsendable_message_dropped", exchange=self._waiting[0].exchange, reason=str(error))
            if self._one_by_one:
                self._drop_first()
                raise BrokerUnavailableError("the broker closes the amqp channel") from error
        self._drop_first()
