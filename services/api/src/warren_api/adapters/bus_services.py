"""Warren's services, reached over the bus."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar, cast

from opentelemetry.trace import SpanKind

from warren_api.domain.orders import KEYS
from warren_api.domain.publications import Publication
from warren_api.domain.rejection import RejectionError
from warren_shared.contracts.channels import routing_key_of
from warren_shared.contracts.codes import ErrorCode, Errors
from warren_shared.contracts.control import Order
from warren_shared.contracts.envelope import ContractError, Message, decode_one_of
from warren_shared.contracts.history import Page, ReadRequest, Removed, RemoveRequest
from warren_shared.contracts.presence import Heartbeat, Members, Query, Stats
from warren_shared.contracts.rpc import Failed
from warren_shared.messaging.port import BINARY, JSON, BusError, Outgoing, Requester, UnsendableMessageError
from warren_shared.observability.bounded_log import BoundedLog
from warren_shared.observability.tracing import Tracing
from warren_shared.topology.catalogue import ExchangeName, RpcKey

AnyReply = TypeVar("AnyReply", bound=Message)
Done = TypeVar("Done")


class ApiBus(Requester, Protocol):
    """What is needed of the bus."""

    async def publish(self, message: Outgoing, *, deadline: float) -> None:
        """Publish and wait for the broker's confirm."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds a caller waits at most."""

    publish: float
    request: float


class BusServices:
    """Implements the Services port."""

    def __init__(
        self,
        bus: ApiBus,
        tracing: Tracing,
        deadlines: Deadlines,
        *,
        gateways: Callable[[], Awaitable[Sequence[Heartbeat]]],
        monotonic: Callable[[], float],
    ) -> None:
        self._bus, self._tracing, self._deadlines = bus, tracing, deadlines
        self._gateways = gateways
        self._log = BoundedLog(monotonic)

    async def publish(self, publication: Publication) -> None:
        """See the port."""
        exchange = ExchangeName.PUBLISH.value
        attributes = {
            "messaging.system": "rabbitmq",
            "messaging.operation.type": "send",
            "messaging.destination.name": exchange,
            "warren.channel": publication.channel,
        }
        with self._tracing.span("publish", exchange, kind=SpanKind.PRODUCER, attributes=attributes) as span:
            message = Outgoing(
                exchange,
                routing_key_of(publication.channel),
                publication.data,
                headers={**publication.headers, **self._tracing.outgoing(span)},
                message_id=publication.message_id,
                content_type=BINARY if publication.binary else JSON,
                persistent=publication.durable,
            )
            await self._outcome(self._bus.publish(message, deadline=self._deadlines.publish))

    async def order(self, order: Order) -> None:
        """See the port."""
        message = Outgoing(ExchangeName.CONTROL, KEYS[type(order)], order.encode(), headers=self._tracing.outgoing())
        await self._outcome(self._bus.publish(message, deadline=self._deadlines.publish))

    async def presence(self, channel: str) -> Members:
        """See the port."""
        return await self._presence(Query(channel=channel), Members)

    async def presence_stats(self, channel: str) -> Stats:
        """See the port."""
        return await self._presence(Query(channel=channel, stats=True), Stats)

    async def history(self, request: ReadRequest) -> Page:
        """See the port."""
        return await self._ask(ExchangeName.RPC, RpcKey.HISTORY_READ, request, Page)

    async def remove_history(self, channel: str) -> None:
        """See the port."""
        await self._ask(ExchangeName.RPC, RpcKey.HISTORY_REMOVE, RemoveRequest(channel=channel), Removed)

    async def gateways(self) -> Sequence[Heartbeat]:
        """See the port."""
        try:
            async with asyncio.timeout(self._deadlines.request):
                return await self._gateways()
        except TimeoutError as error:
            raise self._failed("no heartbeats are heard") from error

    async def _presence(self, query: Query, expected: type[AnyReply]) -> AnyReply:
        # Under the channel's key: it goes to who keeps the channel.
        return await self._ask(ExchangeName.PRESENCE, routing_key_of(query.channel), query, expected)

    async def _ask(self, exchange: ExchangeName, key: str, question: Message, expected: type[AnyReply]) -> AnyReply:
        body = await self._outcome(
            self._bus.request(exchange, key, question.encode(), deadline=self._deadlines.request)
        )
        try:
            reply = decode_one_of(body, *_either(expected))
        except ContractError as error:
            raise self._failed(str(error)) from error
        if isinstance(reply, Failed):
            raise RejectionError(ErrorCode(reply.code, reply.reason, reply.temporary))
        return cast("AnyReply", reply)

    async def _outcome(self, doing: Awaitable[Done]) -> Done:
        try:
            return await doing
        except UnsendableMessageError as error:
            raise RejectionError(Errors.BAD_REQUEST, str(error)) from error
        except BusError as error:
            raise self._failed(str(error)) from error

    def _failed(self, reason: str) -> RejectionError:
        self._log.warning("service_did_not_answer", reason=reason)
        return RejectionError(Errors.INTERNAL)


def _either(expected: type[Message]) -> tuple[type[Message], type[Message]]:
    return expected, Failed
