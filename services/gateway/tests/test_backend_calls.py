"""Calls of backends over the bus, and what is made of their answers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from warren_gateway.adapters.backends import BackendCalls, result_of
from warren_gateway.bus_options import BusSideOptions
from warren_gateway.handlers.request_outcomes import Method, Outcome, RequestOutcomes
from warren_gateway.ports import Call, CallResult, RequestFailedError, ServiceUnavailableError
from warren_shared.contracts.codes import ErrorCode, Errors
from warren_shared.contracts.envelope import ContractError
from warren_shared.contracts.publication import UNREADABLE_HEADERS
from warren_shared.messaging.port import (
    BrokerUnavailableError,
    BusError,
    DeadlineExceededError,
    Delivery,
    Outgoing,
    UnroutableError,
)
from warren_shared.observability.tracing import Tracing

from .bus_fakes import FakeCaller

CALL = Call("tools:shout", b'{"a":1}', "alice", "client-1", '{"name":"Alice"}')
REMOTE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
CODE, MESSAGE, TEMPORARY = "x-warren-error-code", "x-warren-error-message", "x-warren-error-temporary"


def answer(body: bytes, **headers: Any) -> Delivery:
    return Delivery("warren.replies", "q", body, headers)


def calls(
    caller: FakeCaller, outcomes: RequestOutcomes | None = None, tracing: Tracing | None = None, **options: Any
) -> BackendCalls:
    counts = outcomes or RequestOutcomes(lambda: 0.0)
    return BackendCalls(caller, tracing or Tracing(None), BusSideOptions(rpc_deadline=3, **options), counts)


async def test_a_call_says_who_calls_and_brings_the_data() -> None:
    caller = FakeCaller(answer(b'"HI"'))
    assert await calls(caller)(CALL) == CallResult(b'"HI"')
    headers = {"x-warren-user": "alice", "x-warren-client": "client-1", "x-warren-info": '{"name":"Alice"}'}
    assert caller.calls == [(Outgoing("warren.rpc", "app.tools:shout", b'{"a":1}', headers=headers), 3)]


async def test_who_has_no_info_brings_none() -> None:
    caller = FakeCaller(answer(b"1"))
    await calls(caller)(Call("m", b"1", "", "client-1", None))
    assert caller.calls[0][0].headers == {"x-warren-user": "", "x-warren-client": "client-1"}


@pytest.mark.parametrize(
    ("failure", "outcome"),
    [(DeadlineExceededError("late"), Outcome.TIMEOUT), (BrokerUnavailableError("away"), Outcome.UNAVAILABLE)],
)
async def test_no_answer_is_an_unavailable_service(failure: BusError, outcome: Outcome) -> None:
    outcomes = RequestOutcomes(lambda: 0.0)
    with pytest.raises(ServiceUnavailableError):
        await calls(FakeCaller(failure), outcomes)(CALL)
    assert outcomes.counts[Method.RPC, outcome] == 1


async def test_a_call_that_no_queue_takes_finds_no_method() -> None:
    outcomes = RequestOutcomes(lambda: 0.0)
    with pytest.raises(RequestFailedError) as failed:
        await calls(FakeCaller(UnroutableError("nobody")), outcomes)(CALL)
    assert failed.value.error == Errors.METHOD_NOT_FOUND
    assert outcomes.counts[Method.RPC, Outcome.REFUSED] == 1


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ({CODE: 400}, ErrorCode(400, "error")),
        ({CODE: 1999, MESSAGE: "no"}, ErrorCode(1999, "no")),
        ({CODE: 1000, MESSAGE: "x" * 300, TEMPORARY: True}, ErrorCode(1000, "x" * 256, temporary=True)),
        ({CODE: 1000, MESSAGE: 7, TEMPORARY: "yes"}, ErrorCode(1000, "error")),
    ],
)
def test_a_backends_error_is_the_clients(headers: dict[str, Any], error: ErrorCode) -> None:
    with pytest.raises(RequestFailedError) as failed:
        result_of(answer(b"not looked at", **headers))
    assert failed.value.error == error


@pytest.mark.parametrize("code", [0, 100, 399, 2000, "400", True, 400.0, b"400"])
async def test_an_error_code_that_is_not_the_applications_is_no_answer(code: Any) -> None:
    outcomes = RequestOutcomes(lambda: 0.0)
    with pytest.raises(ServiceUnavailableError):
        await calls(FakeCaller(answer(b"1", **{CODE: code})), outcomes)(CALL)
    assert outcomes.counts[Method.RPC, Outcome.NOT_UNDERSTOOD] == 1


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"NaN", b"[" * 600 + b"]" * 600, b'"' + b"x" * 1_048_576 + b'"'])
def test_what_clients_cannot_be_shown_is_no_answer(body: bytes) -> None:
    with pytest.raises(ContractError):
        result_of(answer(body))


def test_an_answer_whose_headers_cannot_be_read_is_none() -> None:
    with pytest.raises(ContractError):
        result_of(Delivery("", "q", b"1", {UNREADABLE_HEADERS: True}))


async def test_calls_beyond_the_bound_are_refused_until_one_ends() -> None:
    caller = FakeCaller(gate=asyncio.Event())
    backends = calls(caller, rpc_concurrency=2)
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(backends(CALL)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(RequestFailedError) as failed:
            await backends(CALL)
        caller.gate.set()
    assert failed.value.error == Errors.TOO_MANY_REQUESTS
    assert [task.result() for task in running] == [CallResult(b"null")] * 2
    assert await backends(CALL) == CallResult(b"null")


async def test_a_call_is_a_span_that_goes_on_to_the_backend_and_is_linked_to_the_clients_own() -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    caller = FakeCaller(answer(b"1"))
    await calls(caller, tracing=Tracing(provider))(Call("m", b"1", "", "c", None, REMOTE))
    (span,) = exporter.get_finished_spans()
    assert (span.name, span.kind, span.parent) == ("call warren.rpc", SpanKind.CLIENT, None)
    assert [f"{link.context.trace_id:032x}" for link in span.links] == [REMOTE[3:35]]
    assert span.context is not None
    expected = f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-01"
    assert caller.calls[0][0].headers["traceparent"] == expected
