"""The other services, reached over the bus."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Protocol, TypeVar

from opentelemetry.trace import SpanKind

from warren_gateway.bus_options import BusSideOptions
from warren_gateway.handlers.request_outcomes import Method, RequestOutcomes
from warren_gateway.ports import (
    Call,
    CallResult,
    ClientEvent,
    ClientMessage,
    Publish,
    RequestFailedError,
    ServiceUnavailableError,
)
from warren_shared.contracts.auth import (
    Admitted,
    Allowed,
    ConnectRequest,
    RefreshRequest,
    Refused,
    SubRefreshRequest,
    SubscribeRequest,
)
from warren_shared.contracts.channels import routing_key_of
from warren_shared.contracts.codes import ErrorCode
from warren_shared.contracts.envelope import Message, decode_one_of
from warren_shared.contracts.history import Page, ReadRequest
from warren_shared.contracts.presence import Members, Query, Stats
from warren_shared.contracts.publication import Header
from warren_shared.contracts.rpc import Failed
from warren_shared.messaging.port import JSON, DeadlineExceededError, HeaderValue, Outgoing, Requester
from warren_shared.observability.trace_context import sampled_context
from warren_shared.observability.tracing import Tracing
from warren_shared.topology.catalogue import ExchangeName, RpcKey

AnyReply = TypeVar("AnyReply", bound=Message)
_PUBLISH: Final = ExchangeName.PUBLISH.value
SHORTEST_WAIT: Final = 0.001


class CallBus(Requester, Protocol):
    """What is needed of the bus."""

    async def publish(self, message: Outgoing, *, deadline: float) -> None:
        """Publish and wait for the broker's confirm."""


class BusServices:
    """Implements the Services port.

    ``reported``, awaited, waits until presence was told all that this gateway knew of a channel when
    it was called: a question takes another amqp channel than the reports, and must not overtake them.
    """

    def __init__(
        self,
        bus: CallBus,
        tracing: Tracing,
        options: BusSideOptions,
        outcomes: RequestOutcomes,
        *,
        reported: Callable[[str], Awaitable[None]],
        call: Callable[[Call], Awaitable[CallResult]],
        tell: Callable[[ClientMessage | ClientEvent], None],
    ) -> None:
        """``call`` calls a backend, as the port's ``rpc`` does; ``tell`` is the port's."""
        self._bus, self._tracing, self._options = bus, tracing, options
        self._outcomes, self._reported, self._call, self._tell = outcomes, reported, call, tell

    async def connect(self, request: ConnectRequest) -> Admitted | Refused:
        """See the port."""
        return await self._decision(Method.CONNECT, RpcKey.AUTH_CONNECT, request, Admitted)

    async def refresh(self, request: RefreshRequest) -> Admitted | Refused:
        """See the port."""
        return await self._decision(Method.REFRESH, RpcKey.AUTH_REFRESH, request, Admitted)

    async def subscribe(self, request: SubscribeRequest) -> Allowed | Refused:
        """See the port."""
        return await self._decision(Method.SUBSCRIBE, RpcKey.AUTH_SUBSCRIBE, request, Allowed)

    async def sub_refresh(self, request: SubRefreshRequest) -> Allowed | Refused:
        """See the port."""
        return await self._decision(Method.SUB_REFRESH, RpcKey.AUTH_SUB_REFRESH, request, Allowed)

    async def publish(self, publication: Publish) -> None:
        """See the port."""
        with self._outcomes.counting(Method.PUBLISH):
            await self._publish_traced(publication)

    def presence(self, channel: str) -> Awaitable[Members]:
        """See the port."""
        return self._presence(Method.PRESENCE, Query(channel=channel), Members)

    def presence_stats(self, channel: str) -> Awaitable[Stats]:
        """See the port."""
        return self._presence(Method.PRESENCE_STATS, Query(channel=channel, stats=True), Stats)

    async def history(self, request: ReadRequest) -> Page:
        """See the port."""
        with self._outcomes.counting(Method.HISTORY):
            body = await self._bus.request(
                ExchangeName.RPC, RpcKey.HISTORY_READ, request.encode(), deadline=self._options.history_deadline
            )
            return _reply(body, Page)

    async def rpc(self, call: Call) -> CallResult:
        """See the port."""
        return await self._call(call)

    def tell(self, what: ClientMessage | ClientEvent) -> None:
        """See the port."""
        self._tell(what)

    async def _publish_traced(self, publication: Publish) -> None:
        if not self._tracing.spans_roots():
            await self._publish(publication, {})
            return
        client = sampled_context({Header.TRACEPARENT: publication.traceparent})
        attributes = {
            "messaging.system": "rabbitmq",
            "messaging.operation.type": "send",
            "messaging.destination.name": _PUBLISH,
            "messaging.message.id": publication.message_id,
            "warren.channel": publication.channel,
        }
        with self._tracing.span(
            "publish",
            _PUBLISH,
            kind=SpanKind.PRODUCER,
            links=[client] if client else (),
            attributes=attributes,
        ) as span:
            await self._publish(publication, self._tracing.outgoing(span))

    async def _decision(
        self, method: Method, key: RpcKey, request: Message, favourable: type[AnyReply]
    ) -> AnyReply | Refused:
        with self._outcomes.counting(method):
            body = await self._bus.request(
                ExchangeName.RPC, key, request.encode(), deadline=self._options.auth_deadline
            )
            reply = decode_one_of(body, favourable, Refused, Failed)
            if isinstance(reply, favourable | Refused):
                return reply
            raise ServiceUnavailableError(f"auth could not decide: {reply}")

    def _presence(self, method: Method, query: Query, reply: type[AnyReply]) -> Awaitable[AnyReply]:
        # What was to be reported is noted now, at the command's place in its frame.
        return self._count(method, self._ask_presence(query, reply, self._reported(query.channel)))

    async def _count(self, method: Method, asked: Awaitable[AnyReply]) -> AnyReply:
        with self._outcomes.counting(method):
            return await asked

    async def _ask_presence(self, query: Query, reply: type[AnyReply], reported: Awaitable[None]) -> AnyReply:
        now = asyncio.get_running_loop().time
        ends = now() + self._options.presence_deadline
        try:
            async with asyncio.timeout_at(ends):
                await reported
        except TimeoutError as error:
            raise DeadlineExceededError("presence was not told of the last changes in time") from error
        # Under the channel's key the question goes the way of its joins and leaves, behind them.
        key = routing_key_of(query.channel)
        body = await self._bus.request(
            ExchangeName.PRESENCE, key, query.encode(), deadline=max(ends - now(), SHORTEST_WAIT)
        )
        return _reply(body, reply)

    async def _publish(self, publication: Publish, trace: Mapping[str, str]) -> None:
        headers: dict[str, HeaderValue] = {**trace, Header.INFO.value: publication.info.decode()}
        message = Outgoing(
            _PUBLISH,
            routing_key_of(publication.channel),
            publication.data,
            headers=headers,
            message_id=publication.message_id,
            content_type=JSON,
            persistent=publication.durable,
        )
        await self._bus.publish(message, deadline=self._options.publish_deadline)


def _reply(body: bytes, expected: type[AnyReply]) -> AnyReply:
    reply = decode_one_of(body, *_either(expected))
    if isinstance(reply, expected):
        return reply
    if isinstance(reply, Failed):
        raise RequestFailedError(ErrorCode(reply.code, reply.reason, reply.temporary))
    raise ServiceUnavailableError("the reply could not be understood")


def _either(expected: type[Message]) -> tuple[type[Message], type[Message]]:
    return expected, Failed
