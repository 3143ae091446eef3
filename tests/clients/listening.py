"""A backend that listens to what gateways tell of clients, in plain aio-pika."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

DEADLINE = 10.0


class Listening:
    """Keeps what comes of one user."""

    def __init__(self, user: str) -> None:
        self.user = user
        self.heard: list[tuple[str, Any]] = []
        """(key, body), in the order of arrival."""
        self._arrived = asyncio.Event()

    @classmethod
    @asynccontextmanager
    async def to(cls, url: str, user: str, *, key: str = "client.*") -> AsyncIterator[Listening]:
        """Listen while the block runs."""
        self = cls(user)
        async with await aio_pika.connect(url) as connection:
            amqp_channel = await connection.channel()
            queue = await amqp_channel.declare_queue(f"app.events.{user}", exclusive=True)
            await queue.bind("warren.events", key)
            await queue.consume(self._take, no_ack=True)
            yield self

    async def until(self, count: int) -> list[tuple[str, Any]]:
        """Wait for so many and return all."""
        async with asyncio.timeout(DEADLINE):
            while len(self.heard) < count:
                self._arrived.clear()
                await self._arrived.wait()
        return self.heard

    async def _take(self, message: AbstractIncomingMessage) -> None:
        body = json.loads(message.body)
        told_of = message.headers["x-warren-user"] if message.routing_key == "client.message" else body.get("user")
        if told_of == self.user:
            self.heard.append((message.routing_key or "", body))
            self._arrived.set()
