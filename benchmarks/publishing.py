"""A backend: plain aio-pika, as any team would publish."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

import aio_pika
from aio_pika.abc import AbstractExchange


class Publisher:
    """Publishes to ``warren.publish``."""

    def __init__(self, exchange: AbstractExchange) -> None:
        self._exchange = exchange
        self._number = 0

    @classmethod
    @asynccontextmanager
    async def connected(cls, url: str) -> AsyncIterator[Self]:
        """Keep a connection while the block runs."""
        connection = await aio_pika.connect(url)
        async with connection:
            amqp_channel = await connection.channel()
            yield cls(await amqp_channel.get_exchange("warren.publish", ensure=False))

    async def publish(self, key: str, data: bytes) -> None:
        """Publish one and wait for its confirm."""
        self._number += 1
        message = aio_pika.Message(data, message_id=f"b-{self._number}-{time.time_ns()}")
        await self._exchange.publish(message, key, mandatory=False)

    async def burst(self, key: str, data: bytes, count: int) -> None:
        """Publish so many at once."""
        await asyncio.gather(*(self.publish(key, data) for _ in range(count)))

    async def at_rate(self, key: str, rate: float, count: int) -> None:
        """Publish so many timed messages at a steady rate, late ones without delay."""
        began, sent = time.perf_counter(), 0
        async with asyncio.TaskGroup() as group:
            while sent < count:
                due = min(count, int((time.perf_counter() - began) * rate) + 1)
                for _ in range(sent, due):
                    group.create_task(self.publish(key, b'{"t":%d,"x":"%s"}' % (time.time_ns(), b"x" * 170)))
                sent = due
                await asyncio.sleep(1 / rate)
