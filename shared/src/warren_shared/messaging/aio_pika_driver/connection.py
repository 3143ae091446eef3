"""Connections of aio-pika, and its errors, translated at one place.

Messages go through aio-pika's amqp-channel layer (aiormq) directly: its message objects cost more
than the frames they wrap. See docs/adr/0004-aio-pika-behind-one-port.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final
from urllib.parse import urlsplit

import aio_pika
import aiormq

from warren_shared.messaging.aio_pika_driver import lenient_decoding
from warren_shared.messaging.aio_pika_driver.amqp_channel import AioPikaAmqpChannel
from warren_shared.messaging.aio_pika_driver.errors import FAILURES, translated_errors
from warren_shared.messaging.amqp.driver import NO_VIRTUAL_HOST
from warren_shared.messaging.port import BrokerUnavailableError, BusError

lenient_decoding.install()

_OPENED: Final = "Connection.OpenOk"
"""What RabbitMQ answers to a virtual host that is there; the client has no error of its own for a refusal."""
CONNECT_SECONDS: Final = 10.0
CLOSE_SECONDS: Final = 2.0
SETUP_SECONDS: Final = 10.0


class AioPikaConnection:
    """Implements warren_shared.messaging.amqp.driver.Connection."""

    def __init__(self, connection: aio_pika.abc.AbstractConnection) -> None:
        self._connection = connection

    @property
    def is_closed(self) -> bool:
        """See the protocol. aio-pika's own ``is_closed`` tells of deliberate closes only."""
        transport = self._connection.transport
        return transport is None or transport.connection.is_closed

    async def wait_closed(self) -> None:
        """See the protocol."""
        if self._connection.transport is not None:
            with suppress(BusError), translated_errors():
                await self._connection.transport.connection.closing

    def silent_for(self) -> float:
        """See the protocol. aio-pika does not tell: a dead link is noticed by heartbeats alone."""
        return 0.0

    async def close(self) -> None:
        """See the protocol."""
        with suppress(*FAILURES, TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._connection.close()

    @asynccontextmanager
    async def amqp_channel(self, *, confirms: bool) -> AsyncIterator[AioPikaAmqpChannel]:
        """See the protocol."""
        transport = self._connection.transport
        if transport is None:
            raise BrokerUnavailableError("the connection to the broker was lost")
        with translated_errors():
            async with asyncio.timeout(SETUP_SECONDS):
                channel = await transport.connection.channel(publisher_confirms=confirms)
        try:
            yield AioPikaAmqpChannel(channel)
        finally:
            with suppress(*FAILURES, TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await channel.close()


async def connect(url: str, *, name: str, heartbeat: int) -> AioPikaConnection:
    """Open a connection. Raises BrokerUnavailableError or DeadlineExceededError."""
    separator = "&" if urlsplit(url).query else "?"
    with translated_errors():
        async with asyncio.timeout(CONNECT_SECONDS):
            try:
                connection = await aio_pika.connect(
                    f"{url}{separator}heartbeat={heartbeat}", client_properties={"connection_name": name}
                )
            except aiormq.exceptions.InvalidFrameError as error:
                if _OPENED not in str(error):
                    raise
                raise BrokerUnavailableError(NO_VIRTUAL_HOST) from error
            return AioPikaConnection(connection)
