"""A backend that answers calls, in plain aio-pika and nothing of Warren's own code."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aio_pika
from aio_pika.abc import AbstractExchange, AbstractIncomingMessage


class Answering:
    """Takes the calls of one method, keeps them, and answers with what it is told to."""

    def __init__(self, replies: AbstractExchange, answer: Answer) -> None:
        self.calls: list[AbstractIncomingMessage] = []
        self._replies, self._answer = replies, answer

    @classmethod
    @asynccontextmanager
    async def to(cls, url: str, method: str, answer: Answer, *, key: str | None = None) -> AsyncIterator[Answering]:
        """Take calls while the block runs; the queue goes with it."""
        async with await aio_pika.connect(url) as connection:
            amqp_channel = await connection.channel()
            self = cls(await amqp_channel.get_exchange("warren.replies", ensure=False), answer)
            queue = await amqp_channel.declare_queue(f"app.{method}", durable=True, auto_delete=True)
            await queue.bind("warren.rpc", key or f"app.{method}")
            await queue.consume(self._take, no_ack=True)
            yield self

    async def reply(self, call: AbstractIncomingMessage, body: bytes, **headers: Any) -> None:
        """Answer a call; the names of ``headers`` have ``_`` for ``-``."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        message = aio_pika.Message(body, correlation_id=call.correlation_id, headers=named)
        await self._replies.publish(message, call.reply_to or "", mandatory=False)

    async def _take(self, call: AbstractIncomingMessage) -> None:
        self.calls.append(call)
        await self._answer(self, call)


Answer = Callable[[Answering, AbstractIncomingMessage], Awaitable[None]]


async def echo(backend: Answering, call: AbstractIncomingMessage) -> None:
    """Answer with what was asked."""
    await backend.reply(call, call.body)


async def silence(_backend: Answering, _call: AbstractIncomingMessage) -> None:
    """Answer nothing."""
