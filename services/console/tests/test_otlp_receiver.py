"""The OTLP/HTTP receiver: both encodings, compression, limits, and what is no export at all."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Awaitable, Callable
from io import BytesIO
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # googleapis-common-protos has no stubs
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanContext, SpanKind, StatusCode, TraceFlags
from opentelemetry.trace import Status as SpanStatus
from structlog.testing import capture_logs

from warren_console.adapters.http import OTLP_MAX_BYTES, make_trace_receiver
from warren_console.domain.spans import SpanKind as Kind
from warren_console.domain.spans import SpanRef
from warren_console.domain.traces import TraceStore
from warren_console.metrics import Counters

Client = TestClient[web.Request, web.Application]
Serve = Callable[[web.Application], Awaitable[Client]]

TRACE = "5b8efff798038103d269b633813fc60c"
SPAN = "eee19b7ec3c1b174"
PROTOBUF = {"Content-Type": "application/x-protobuf"}
JSON = {"Content-Type": "application/json"}


def json_export(**changes: Any) -> dict[str, Any]:
    """Return an export as the specification's own example writes it."""
    span = {
        "traceId": TRACE.upper(),
        "spanId": SPAN.upper(),
        "parentSpanId": "EEE19B7EC3C1B173",
        "name": "publish warren.publish",
        "kind": 4,
        "startTimeUnixNano": "1544712660000000000",
        "endTimeUnixNano": "1544712661000000000",
        "attributes": [{"key": "warren.namespace", "value": {"stringValue": "chat"}}],
        "links": [{"traceId": "ff" * 16, "spanId": "aa" * 8}],
        "aFieldOfTheFuture": True,
    }
    service = {"key": "service.name", "value": {"stringValue": "warren-gateway"}}
    return {
        "resourceSpans": [
            {"resource": {"attributes": [service]}, "scopeSpans": [{"scope": {}, "spans": [span | changes]}]}
        ]
    }


def protobuf_export(trace_id: bytes = bytes.fromhex(TRACE), span_id: bytes = bytes.fromhex(SPAN)) -> bytes:
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add()
    span.trace_id, span.span_id, span.name = trace_id, span_id, "step"
    return request.SerializeToString()


@pytest.fixture
def store() -> TraceStore:
    return TraceStore()


@pytest.fixture
def counters() -> Counters:
    return Counters()


@pytest.fixture
async def client(serve: Serve, store: TraceStore, counters: Counters) -> Client:
    return await serve(make_trace_receiver(store, counters))


@pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip])
async def test_the_sdks_own_exporter_is_understood(client: Client, store: TraceStore, compression: Compression) -> None:
    memory = InMemorySpanExporter()
    provider = TracerProvider(
        resource=Resource({"service.name": "warren-history", "service.instance.id": "i-1", "host.name": "h"}),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(SimpleSpanProcessor(memory))
    elsewhere = SpanContext(0xABC, 0xDEF, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    tracer = provider.get_tracer("test")
    with tracer.start_as_current_span("process warren.history", kind=SpanKind.CONSUMER, links=[Link(elsewhere)]):
        child = tracer.start_span("append", attributes={"rows": 3, "ratio": 0.5, "fresh": True, "names": ("a", "b")})
        child.set_status(SpanStatus(StatusCode.ERROR))
        child.end()
    url = str(client.make_url("/v1/traces"))
    exporter = OTLPSpanExporter(endpoint=url, compression=compression, timeout=5)
    result = await asyncio.to_thread(exporter.export, memory.get_finished_spans())
    exporter.shutdown()  # type: ignore[no-untyped-call]  # the exporter leaves it unannotated
    provider.shutdown()

    assert result is SpanExportResult.SUCCESS
    [summary] = store.summaries(10)
    by_name = {span.name: span for span in store.spans_of(summary.trace_id)}
    parent, append = by_name["process warren.history"], by_name["append"]
    assert (parent.service, parent.kind, parent.parent_id) == ("warren-history", Kind.CONSUMER, "")
    assert parent.links == (SpanRef(f"{0xABC:032x}", f"{0xDEF:016x}"),)
    assert append.parent_id == parent.span_id
    assert append.failed
    own = {"rows": 3, "ratio": 0.5, "fresh": True, "names": "a, b"}
    assert dict(append.attributes) == {"service.instance.id": "i-1", **own}
    assert 0 < append.duration_ns <= parent.duration_ns


async def test_json_ids_are_hexadecimal_and_unknown_fields_are_ignored(client: Client, store: TraceStore) -> None:
    response = await client.post("/v1/traces", json=json_export())
    assert (response.status, response.content_type, await response.json()) == (200, "application/json", {})
    [span] = store.spans_of(TRACE)
    assert (span.span_id, span.parent_id, span.service) == (SPAN, "eee19b7ec3c1b173", "warren-gateway")
    assert (span.kind, span.duration_ns) == (Kind.PRODUCER, 1_000_000_000)
    assert span.links == (SpanRef("ff" * 16, "aa" * 8),)
    assert store.last_publication() == TRACE


async def test_a_protobuf_request_is_answered_in_protobuf(client: Client) -> None:
    response = await client.post("/v1/traces", data=protobuf_export(), headers=PROTOBUF)
    assert (response.status, response.content_type) == (200, "application/x-protobuf")
    assert ExportTraceServiceResponse.FromString(await response.read()) == ExportTraceServiceResponse()


async def test_values_of_every_kind_become_readable(client: Client, store: TraceStore) -> None:
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add()
    span.trace_id, span.span_id = bytes.fromhex(TRACE), bytes.fromhex(SPAN)
    pair = KeyValue(key="inner", value=AnyValue(int_value=1))
    values = {
        "bytes": AnyValue(bytes_value=b"secret"),
        "list": AnyValue(array_value=ArrayValue(values=[AnyValue(int_value=1), AnyValue(string_value="two")])),
        "map": AnyValue(kvlist_value=KeyValueList(values=[pair])),
        "none": AnyValue(),
    }
    span.attributes.extend(KeyValue(key=key, value=value) for key, value in values.items())
    await client.post("/v1/traces", data=request.SerializeToString(), headers=PROTOBUF)
    assert dict(store.spans_of(TRACE)[0].attributes) == {
        "bytes": "6 bytes",
        "list": "1, two",
        "map": "inner=1",
        "none": "",
    }


@pytest.mark.parametrize(
    ("trace_id", "span_id"), [(b"", b"x" * 8), (b"\0" * 16, b"x" * 8), (b"x" * 16, b"x" * 7), (b"x" * 16, b"\0" * 8)]
)
async def test_spans_without_valid_ids_are_a_partial_success(
    client: Client, store: TraceStore, counters: Counters, trace_id: bytes, span_id: bytes
) -> None:
    response = await client.post("/v1/traces", data=protobuf_export(trace_id, span_id), headers=PROTOBUF)
    answer = ExportTraceServiceResponse.FromString(await response.read())
    assert (response.status, answer.partial_success.rejected_spans) == (200, 1)
    assert (len(store), counters.spans_invalid) == (0, 1)


async def test_a_span_of_a_full_trace_is_a_partial_success(client: Client, store: TraceStore) -> None:
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    for number in range(1, 1_002):
        scope.spans.add(trace_id=bytes.fromhex(TRACE), span_id=number.to_bytes(8, "big"))
    response = await client.post("/v1/traces", data=request.SerializeToString(), headers=PROTOBUF)
    answer = ExportTraceServiceResponse.FromString(await response.read())
    assert answer.partial_success.rejected_spans == 1
    assert len(store.spans_of(TRACE)) == 1_000


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"\xff\xff\xff", PROTOBUF, 400),
        (b"{not json", JSON, 400),
        (b"[]", JSON, 400),
        (b'{"resourceSpans": 7}', JSON, 400),
        (b'{"resourceSpans": [[]]}', JSON, 400),
        (json.dumps(json_export(traceId="zz")).encode(), JSON, 400),
        (json.dumps(json_export(traceId=7)).encode(), JSON, 400),
        (json.dumps(json_export(startTimeUnixNano="soon")).encode(), JSON, 400),
        (json.dumps(json_export(links="none")).encode(), JSON, 400),
        (b'{"resourceSpans":' + b"[" * 5_000 + b"]" * 5_000 + b"}", JSON, 400),
        (b"not gzip", PROTOBUF | {"Content-Encoding": "gzip"}, 400),
        (protobuf_export(), {"Content-Type": "text/plain"}, 415),
        (protobuf_export(), PROTOBUF | {"Origin": "https://evil.example"}, 403),
        (b"\n" * (OTLP_MAX_BYTES + 1), PROTOBUF, 413),
        (gzip.compress(b"\n" * (OTLP_MAX_BYTES + 1)), PROTOBUF | {"Content-Encoding": "gzip"}, 413),
    ],
)
async def test_what_is_no_export_is_refused_with_a_reason_and_counted(
    client: Client, store: TraceStore, counters: Counters, body: bytes, headers: dict[str, str], status: int
) -> None:
    with capture_logs() as logs:
        response = await client.post("/v1/traces", data=BytesIO(body), headers=headers)
        answer = await response.read()
    assert response.status == status
    if headers["Content-Type"] == "application/json":
        assert json.loads(answer)["message"]
    else:
        assert Status.FromString(answer).message
    assert (len(store), counters.otlp_rejected) == (0, 1)
    assert [log["event"] for log in logs] == ["otlp_request_rejected"]


async def test_the_next_export_works_after_a_refused_one(client: Client, store: TraceStore) -> None:
    await client.post("/v1/traces", data=b"\xff\xff\xff", headers=PROTOBUF)
    response = await client.post("/v1/traces", data=protobuf_export(), headers=PROTOBUF)
    assert (response.status, len(store)) == (200, 1)
