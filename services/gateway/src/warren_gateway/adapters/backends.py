"""Calls of backends on behalf of clients, and what backends are told of clients."""

from __future__ import annotations

from typing import Final

from opentelemetry.trace import SpanKind

from warren_gateway.bus_options import BusSideOptions
from warren_gateway.handlers.request_outcomes import Method, RequestOutcomes
from warren_gateway.ports import Call, CallResult, ClientEvent, ClientMessage, RequestFailedError
from warren_shared.contracts.codes import ErrorCode, Errors
from warren_shared.contracts.envelope import ContractError
from warren_shared.contracts.publication import UNREADABLE_HEADERS, Header, check_payload
from warren_shared.contracts.rpc import CUSTOM_ERRORS, MAX_ERROR_MESSAGE, CallHeader
from warren_shared.messaging.port import Caller, Delivery, Headers, HeaderValue, Outgoing, UnroutableError
from warren_shared.observability.trace_context import sampled_context
from warren_shared.observability.tracing import Tracing
from warren_shared.topology.catalogue import EventKey, ExchangeName, backend_rpc_key

_RPC: Final = ExchangeName.RPC.value
_EVENTS: Final = ExchangeName.EVENTS.value


class BackendCalls:
    """Puts calls, a bounded number at a time, and judges the answers: backends are not Warren's."""

    def __init__(self, caller: Caller, tracing: Tracing, options: BusSideOptions, outcomes: RequestOutcomes) -> None:
        self._caller, self._tracing, self._options, self._outcomes = caller, tracing, options, outcomes
        self._in_work = 0

    async def __call__(self, call: Call) -> CallResult:
        """Call and wait for the answer. Raises RequestFailedError and ServiceUnavailableError."""
        with self._outcomes.counting(Method.RPC):
            if self._in_work >= self._options.rpc_concurrency:
                raise RequestFailedError(Errors.TOO_MANY_REQUESTS)
            self._in_work += 1
            try:
                return result_of(await self._traced(call))
            except UnroutableError as error:
                raise RequestFailedError(Errors.METHOD_NOT_FOUND) from error
            finally:
                self._in_work -= 1

    async def _traced(self, call: Call) -> Delivery:
        if not self._tracing.spans_roots():
            return await self._call(call, {})
        client = sampled_context({Header.TRACEPARENT: call.traceparent})
        attributes = {
            "messaging.system": "rabbitmq",
            "messaging.operation.type": "send",
            "messaging.destination.name": _RPC,
            "warren.method": call.method,
        }
        with self._tracing.span(
            "call", _RPC, kind=SpanKind.CLIENT, links=[client] if client else (), attributes=attributes
        ) as span:
            return await self._call(call, self._tracing.outgoing(span))

    async def _call(self, call: Call, trace: Headers) -> Delivery:
        message = Outgoing(_RPC, backend_rpc_key(call.method), call.data, headers=headers_of(call, trace))
        return await self._caller.call(message, deadline=self._options.rpc_deadline)


def event_of(what: ClientMessage | ClientEvent, now: float) -> Outgoing:
    """Return what is published of something that backends are told; ``now`` is in Unix seconds."""
    if isinstance(what, ClientMessage):
        return Outgoing(_EVENTS, EventKey.CLIENT_MESSAGE.value, what.data, headers=headers_of(what, {}))
    dated = what.model_copy(update={"at": int(now * 1000)})
    return Outgoing(_EVENTS, EventKey(what.type_name).value, dated.encode())


def headers_of(call: Call | ClientMessage, trace: Headers) -> dict[str, HeaderValue]:
    """Return the headers of a call or a message: whose it is, and the trace context."""
    headers: dict[str, HeaderValue] = {
        **trace,
        CallHeader.USER.value: call.user,
        CallHeader.CLIENT.value: call.client,
    }
    if call.info is not None:
        headers[CallHeader.INFO.value] = call.info
    return headers


def result_of(reply: Delivery) -> CallResult:
    """Return what a backend answered. Raises RequestFailedError for its error, ContractError for what is no answer."""
    headers = reply.headers
    if UNREADABLE_HEADERS in headers:
        raise ContractError("the reply's headers cannot be decoded")
    code = headers.get(CallHeader.ERROR_CODE)
    if code is not None:
        raise RequestFailedError(_error(code, headers))
    check_payload(reply.body, "json")
    return CallResult(reply.body)


def _error(code: HeaderValue, headers: Headers) -> ErrorCode:
    if type(code) is not int or code not in CUSTOM_ERRORS:
        raise ContractError(f"the reply's error code {str(code)[:32]!r} is none of 400 to 1999")
    message = headers.get(CallHeader.ERROR_MESSAGE)
    text = message[:MAX_ERROR_MESSAGE] if isinstance(message, str) and message else "error"
    return ErrorCode(code, text, temporary=headers.get(CallHeader.ERROR_TEMPORARY) is True)
