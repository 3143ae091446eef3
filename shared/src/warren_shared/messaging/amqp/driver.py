"""The AMQP client's own types and errors, translated at one place.

Messages go through aio-pika's amqp-channel layer (aiormq) directly: its message objects cost more
than the frames they wrap. See docs/adr/0004-aio-pika-behind-one-port.md.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Container, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Final, cast
from urllib.parse import urlsplit

import aio_pika
import aiormq
from aiormq.abc import DeliveredMessage
from pamqp import commands as spec

from warren_shared.messaging.amqp import lenient_decoding
from warren_shared.messaging.port import (
    NO_HEADERS,
    BrokerUnavailableError,
    BusError,
    DeadlineExceededError,
    Delivery,
    Headers,
    Outgoing,
    PublishRejectedError,
    UnsendableMessageError,
)

lenient_decoding.install()

AmqpChannel = aiormq.abc.AbstractChannel
CONNECT_SECONDS: Final = 10.0
CLOSE_SECONDS: Final = 2.0
SETUP_SECONDS: Final = 10.0
WATCH_SECONDS: Final = 1.0
"""How often a consumer looks whether the broker cancelled it."""

_FAILURES: Final = (
    aiormq.exceptions.AMQPError,
    aio_pika.exceptions.AMQPError,
    ConnectionError,
    OSError,
    RuntimeError,  # "connection closed" when an amqp channel is asked for a moment too late
)


def redact(url: str) -> str:
    """Return a broker URL without its user and password."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}"


def raise_if_cancelled() -> None:
    """Raise CancelledError if this task was told to stop."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn the client's errors into the port's.

    The client settles futures of a dying connection by cancelling them. A CancelledError that
    nobody sent to this task is therefore a lost connection, not a wish to stop.
    """
    try:
        yield
    except aiormq.exceptions.DeliveryError as error:
        raise PublishRejectedError("the broker refused the message") from error
    except TimeoutError as error:
        raise DeadlineExceededError("the broker did not answer in time") from error
    except _FAILURES as error:
        raise BrokerUnavailableError(str(error) or type(error).__name__) from error
    except asyncio.CancelledError as error:
        raise_if_cancelled()
        raise BrokerUnavailableError("the connection to the broker was lost") from error


async def connect(url: str, *, name: str, heartbeat: int) -> aio_pika.abc.AbstractConnection:
    """Open a connection. Raises BrokerUnavailableError or DeadlineExceededError."""
    separator = "&" if urlsplit(url).query else "?"
    with translated_errors():
        async with asyncio.timeout(CONNECT_SECONDS):
            return await aio_pika.connect(
                f"{url}{separator}heartbeat={heartbeat}", client_properties={"connection_name": name}
            )


async def close(connection: aio_pika.abc.AbstractConnection) -> None:
    """Close a connection, giving the broker two seconds to agree."""
    with suppress(*_FAILURES, TimeoutError):
        async with asyncio.timeout(CLOSE_SECONDS):
            await connection.close()


def is_closed(connection: aio_pika.abc.AbstractConnection) -> bool:
    """Whether the connection is gone. aio-pika's own ``is_closed`` tells of deliberate closes only."""
    return connection.transport is None or connection.transport.connection.is_closed


async def wait_closed(connection: aio_pika.abc.AbstractConnection) -> None:
    """Wait until the connection is gone, for whatever reason."""
    if connection.transport is not None:
        with suppress(BusError), translated_errors():
            await connection.transport.connection.closing


@asynccontextmanager
async def amqp_channel(connection: aio_pika.abc.AbstractConnection, *, confirms: bool) -> AsyncIterator[AmqpChannel]:
    """Open an amqp channel for the block's time."""
    transport = connection.transport
    if transport is None:
        raise BrokerUnavailableError("the connection to the broker was lost")
    with translated_errors():
        async with asyncio.timeout(SETUP_SECONDS):
            channel = await transport.connection.channel(publisher_confirms=confirms)
    try:
        yield channel
    finally:
        with suppress(*_FAILURES, TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await channel.close()


async def wait_consumer_gone(channel: AmqpChannel, tag: str | None) -> None:
    """Wait until an amqp channel closes, or the broker cancels its consumer: its queue was deleted.

    Raises the port's errors for what closed the amqp channel.
    """
    closing = channel.closing
    while not closing.done() and tag in consumer_tags(channel):
        await asyncio.wait([closing], timeout=WATCH_SECONDS)
    if closing.done():
        with translated_errors():
            await closing


def retrieve(closing: asyncio.Future[object]) -> None:
    """Look at why an amqp channel closed, so that asyncio does not complain that nobody did."""
    if not closing.cancelled():
        closing.exception()


def consumer_tags(channel: AmqpChannel) -> Container[str | None]:
    """Return the tags of an amqp channel's consumers; one the broker cancelled is not among them."""
    return cast("aiormq.channel.Channel", channel).consumers


async def publish(channel: AmqpChannel, message: Outgoing) -> None:
    """Publish; on an amqp channel with confirms, until confirmed.

    Raises the client's errors, and UnsendableMessageError for what it cannot put into frames, and for
    what the broker refuses with PRECONDITION_FAILED. That closes the amqp channel: with confirms every
    publish under way on it fails so, and which of them was the cause is told by sending it alone.
    """
    try:
        await _publish(channel, message)
    except aiormq.exceptions.ChannelPreconditionFailed as error:
        raise UnsendableMessageError(f"the broker refuses the message: {error}") from error
    except (TypeError, ValueError, OverflowError, struct.error) as error:
        raise UnsendableMessageError(f"the message cannot be encoded: {error}") from error


async def _publish(channel: AmqpChannel, message: Outgoing) -> None:
    await channel.basic_publish(
        message.body,
        exchange=message.exchange,
        routing_key=message.routing_key,
        properties=spec.Basic.Properties(
            headers=dict(message.headers) if message.headers else None,
            message_id=message.message_id,
            message_type=message.type,
            content_type=message.content_type,
            delivery_mode=2 if message.persistent else 1,
            correlation_id=message.correlation_id,
            reply_to=message.reply_to,
            expiration=None if message.expiration_ms is None else str(message.expiration_ms),
        ),
        mandatory=False,
    )


def delivery_of(message: DeliveredMessage) -> Delivery:
    """Return the port's view of a delivered message."""
    frame = cast("spec.Basic.Deliver", message.delivery)
    properties = message.header.properties
    headers = cast("Mapping[str, object] | None", properties.headers)
    return Delivery(
        exchange=frame.exchange or "",
        routing_key=frame.routing_key or "",
        body=message.body,
        headers=cast("Headers", headers) if headers else NO_HEADERS,
        message_id=properties.message_id,
        type=properties.message_type,
        content_type=properties.content_type,
        correlation_id=properties.correlation_id,
        reply_to=properties.reply_to,
        redelivered=bool(frame.redelivered),
        tag=frame.delivery_tag or 0,
    )
