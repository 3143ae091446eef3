"""A backend in plain aio-pika: what Warren asks of publishers, and nothing of Warren's own code."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import aio_pika
from aio_pika.abc import AbstractExchange, HeadersType

EXCHANGE: Final = "warren.publish"
_WINDOW: Final = 50
_CONFIRM_SECONDS: Final = 10.0
_RETRY_SECONDS: Final = 0.2


def channel_key(channel: str) -> str:
    """Return the routing key of a channel, as the documentation for backends puts it."""
    namespace, colon, rest = channel.partition(":")
    if colon and namespace.startswith("$"):
        return f"{namespace[1:]}.$.{rest}"
    return f"{namespace}.{rest}" if colon else f"_.{channel}"


def message_of(
    body: bytes, *, message_id: str | None = None, headers: Mapping[str, Any] | None = None
) -> aio_pika.Message:
    """Return a persistent JSON message."""
    return aio_pika.Message(
        body,
        content_type="application/json",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        message_id=message_id,
        headers=_headers(headers or {}),
    )


def _headers(headers: Mapping[str, Any]) -> HeadersType:
    return dict(headers)


class Backend:
    """One connection with publisher confirms."""

    def __init__(self, exchange: AbstractExchange) -> None:
        self._exchange = exchange

    @classmethod
    @asynccontextmanager
    async def connected(cls, url: str) -> AsyncIterator[Backend]:
        """Connect while the block runs."""
        async with await aio_pika.connect(url) as connection:
            amqp_channel = await connection.channel(publisher_confirms=True)
            yield cls(await amqp_channel.get_exchange(EXCHANGE, ensure=False))

    async def publish(
        self, channel: str, data: Any, *, message_id: str | None = None, headers: Mapping[str, Any] | None = None
    ) -> None:
        """Publish JSON and wait for the confirm."""
        await self.publish_bytes(
            channel_key(channel), json.dumps(data).encode(), message_id=message_id, headers=headers
        )

    async def publish_bytes(
        self, key: str, body: bytes, *, message_id: str | None = None, headers: Mapping[str, Any] | None = None
    ) -> None:
        """Publish whatever bytes under a routing key and wait for the confirm."""
        await self._publish(key, message_of(body, message_id=message_id, headers=headers))

    async def publish_all(self, channel: str, numbered: Sequence[tuple[str, Any]]) -> int:
        """Publish (message id, data) in order, many at a time; return how many, from the first on, were confirmed."""
        outcomes = await asyncio.gather(
            *(
                self._publish(channel_key(channel), message_of(json.dumps(data).encode(), message_id=message_id))
                for message_id, data in numbered
            ),
            return_exceptions=True,
        )
        failed = (index for index, outcome in enumerate(outcomes) if isinstance(outcome, BaseException))
        return next(failed, len(outcomes))

    async def _publish(self, key: str, message: aio_pika.Message) -> None:
        await self._exchange.publish(message, key, mandatory=False, timeout=_CONFIRM_SECONDS)


class Stream:
    """Publishes numbers to a durable channel, each with a message id, until every one is confirmed.

    What was not confirmed is sent again, in order, under the same ids: over a new connection if the
    old one broke.
    """

    def __init__(self, url: str, channel: str, count: int) -> None:
        self.confirmed = 0
        self._url, self._channel, self._count = url, channel, count
        self._allowed = count
        self._changed = asyncio.Event()

    def pause_at(self, count: int) -> None:
        """Publish no more than so many for now."""
        self._allowed = count
        self._changed.set()

    def go_on(self) -> None:
        """Publish the rest."""
        self.pause_at(self._count)

    async def run(self) -> None:
        """Publish everything."""
        while self.confirmed < self._count:
            try:
                async with Backend.connected(self._url) as backend:
                    while self.confirmed < self._count:
                        await self._publish_window(backend)
            except (aio_pika.exceptions.AMQPError, OSError, TimeoutError):
                await asyncio.sleep(_RETRY_SECONDS)  # as any publisher waits before it tries again

    async def until(self, count: int, *, deadline: float) -> None:
        """Wait until so many are confirmed."""
        async with asyncio.timeout(deadline):
            await self._until(lambda: self.confirmed >= count)

    async def _publish_window(self, backend: Backend) -> None:
        await self._until(lambda: self.confirmed < self._allowed)
        numbers = range(self.confirmed, min(self.confirmed + _WINDOW, self._allowed))
        done = await backend.publish_all(self._channel, [(f"{self._channel}-{n}", n) for n in numbers])
        self.confirmed += done
        self._changed.set()
        if done < len(numbers):
            raise ConnectionError("not all were confirmed")

    async def _until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            self._changed.clear()
            await self._changed.wait()
