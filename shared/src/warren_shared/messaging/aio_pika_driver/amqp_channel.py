"""An amqp channel of aiormq, as the bus wants it."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Final, cast

import aiormq
from aiormq.abc import ArgumentsType, DeliveredMessage
from pamqp import commands as spec

from warren_shared.messaging.aio_pika_driver.errors import translated_errors
from warren_shared.messaging.amqp.driver import OnDeliveries
from warren_shared.messaging.amqp.task_group import task_group
from warren_shared.messaging.port import (
    NO_HEADERS,
    BrokerUnavailableError,
    Delivery,
    Headers,
    Outgoing,
    UnroutableError,
    UnsendableMessageError,
)
from warren_shared.topology.declarations import Binding, Exchange

WATCH_SECONDS: Final = 1.0
"""How often it is looked whether the broker cancelled the consumer."""


class AioPikaAmqpChannel:
    """Implements warren_shared.messaging.amqp.driver.AmqpChannel."""

    def __init__(self, channel: aiormq.abc.AbstractChannel) -> None:
        self._channel = channel
        self._tag: str | None = None
        self._on_deliveries: OnDeliveries = _nobody
        self._arrived: list[Delivery] = []
        channel.closing.add_done_callback(_retrieve)

    @property
    def is_closed(self) -> bool:
        """See the protocol."""
        return self._channel.is_closed

    async def publish(self, message: Outgoing, *, deadline: float) -> None:
        """See the protocol."""
        with translated_errors():
            async with asyncio.timeout(deadline):
                await self._publish(message)

    async def publish_all(self, messages: Sequence[Outgoing], *, deadline: float) -> None:
        """See the protocol."""
        if len(messages) == 1:
            await self.publish(messages[0], deadline=deadline)
            return
        async with task_group() as group:
            # Tasks start in the order of creation and queue at the client's first-come
            # first-served write lock: the order on the wire is the order of the sequence.
            for message in messages:
                group.create_task(self.publish(message, deadline=deadline))

    async def write(self, message: Outgoing, *, deadline: float) -> None:
        """See the protocol."""
        await self.publish(message, deadline=deadline)

    async def _publish(self, message: Outgoing) -> None:
        try:
            await self._channel.basic_publish(
                message.body,
                exchange=message.exchange,
                routing_key=message.routing_key,
                properties=_properties(message),
                mandatory=message.mandatory,
            )
        except aiormq.exceptions.PublishError as error:
            raise UnroutableError("no queue takes the message") from error
        except aiormq.exceptions.ChannelPreconditionFailed as error:
            raise UnsendableMessageError(f"the broker refuses the message: {error}") from error
        except (TypeError, ValueError, OverflowError, struct.error) as error:
            raise UnsendableMessageError(f"the message cannot be encoded: {error}") from error

    async def consume(self, queue: str, on_deliveries: OnDeliveries, *, prefetch: int | None = None) -> None:
        """See the protocol."""
        self._on_deliveries = on_deliveries
        with translated_errors():
            if prefetch is not None:
                await self._channel.basic_qos(prefetch_count=prefetch)
            confirmed = await self._channel.basic_consume(queue, self._on_message, no_ack=prefetch is None)
        self._tag = confirmed.consumer_tag

    async def _on_message(self, message: DeliveredMessage) -> None:
        # Deliveries of one loop turn are handed over together.
        if not self._arrived:
            asyncio.get_running_loop().call_soon(self._hand_over)
        self._arrived.append(_delivery_of(message))

    def _hand_over(self) -> None:
        arrived, self._arrived = self._arrived, []
        self._on_deliveries(arrived)

    async def ack(self, tag: int) -> None:
        """See the protocol."""
        with translated_errors():
            await self._channel.basic_ack(tag, multiple=True)

    async def ask(self) -> None:
        """See the protocol."""
        with translated_errors():
            await self._channel.basic_qos(prefetch_count=0)

    async def declare_exchange(self, exchange: Exchange) -> None:
        """See the protocol."""
        with translated_errors():
            await self._channel.exchange_declare(
                exchange.name,
                exchange_type=exchange.type,
                durable=True,
                arguments=cast("ArgumentsType", dict(exchange.arguments)),
            )

    async def declare_queue(
        self,
        name: str,
        *,
        arguments: Headers,
        durable: bool = False,
        exclusive: bool = False,
        auto_delete: bool = False,
    ) -> None:
        """See the protocol."""
        with translated_errors():
            await self._channel.queue_declare(
                name,
                durable=durable,
                exclusive=exclusive,
                auto_delete=auto_delete,
                arguments=cast("ArgumentsType", dict(arguments)),
            )

    async def bind(self, bindings: Sequence[Binding]) -> None:
        """See the protocol."""
        channel = self._channel
        with translated_errors():
            for each in bindings:
                if each.to_exchange:
                    await channel.exchange_bind(
                        destination=each.destination, source=each.source, routing_key=each.routing_key
                    )
                else:
                    await channel.queue_bind(each.destination, each.source, routing_key=each.routing_key)

    async def unbind(self, bindings: Sequence[Binding]) -> None:
        """See the protocol."""
        channel = self._channel
        with translated_errors():
            for each in bindings:
                if each.to_exchange:
                    await channel.exchange_unbind(
                        destination=each.destination, source=each.source, routing_key=each.routing_key
                    )
                else:
                    await channel.queue_unbind(each.destination, each.source, routing_key=each.routing_key)

    async def wait_ended(self) -> None:
        """See the protocol."""
        closing = self._channel.closing
        while not closing.done():
            self._check_consumer()
            await asyncio.wait([closing], timeout=WATCH_SECONDS)
        self.check()

    def on_ended(self, callback: Callable[[], None]) -> None:
        """See the protocol. A cancelled consumer is noticed by ``check`` alone."""
        self._channel.closing.add_done_callback(lambda _: callback())

    def check(self) -> None:
        """See the protocol."""
        closing = self._channel.closing
        if closing.done():
            with translated_errors():
                closing.result()
            raise BrokerUnavailableError("the amqp channel was closed")
        if self._channel.is_closed:
            raise BrokerUnavailableError("the amqp channel was closed")
        self._check_consumer()

    def _check_consumer(self) -> None:
        # One the broker cancelled is not among them.
        if self._tag is not None and self._tag not in cast("aiormq.channel.Channel", self._channel).consumers:
            raise BrokerUnavailableError("the broker cancelled the consumer")


def _nobody(_deliveries: Sequence[Delivery]) -> None:
    pass


def _retrieve(closing: asyncio.Future[object]) -> None:
    """Look at why an amqp channel closed, so that asyncio does not complain that nobody did."""
    if not closing.cancelled():
        closing.exception()


def _properties(message: Outgoing) -> spec.Basic.Properties:
    return spec.Basic.Properties(
        headers=dict(message.headers) if message.headers else None,
        message_id=message.message_id,
        message_type=message.type,
        content_type=message.content_type,
        delivery_mode=2 if message.persistent else 1,
        correlation_id=message.correlation_id,
        reply_to=message.reply_to,
        expiration=None if message.expiration_ms is None else str(message.expiration_ms),
    )


def _delivery_of(message: DeliveredMessage) -> Delivery:
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
