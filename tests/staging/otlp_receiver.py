"""Receives spans over OTLP/HTTP, as a collector would, and keeps them for assertions.

Source: OTLP Specification 1, section OTLP/HTTP (binary protobuf, ``POST /v1/traces``).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2

_LARGEST_BODY = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ReceivedSpan:
    """One span, with its ids in hexadecimal."""

    service: str
    instance: str
    """Which process."""
    name: str
    kind: str
    """As in ``SPAN_KIND_PRODUCER``, without the prefix."""
    trace: str
    span: str
    parent: str
    """Empty for a root."""
    links: tuple[tuple[str, str], ...]
    """(trace, span) of each link."""
    attributes: dict[str, object]
    start: int
    end: int


class OtlpReceiver:
    """Takes what the processes export."""

    def __init__(self, port: int) -> None:
        self.spans: list[ReceivedSpan] = []
        self.bodies: list[bytes] = []
        """Every request as it came, for the search for what must not be there."""
        self.endpoint = f"http://127.0.0.1:{port}"

    @classmethod
    @asynccontextmanager
    async def listening(cls, port: int) -> AsyncIterator[OtlpReceiver]:
        """Receive on a loopback port while the block runs."""
        receiver = cls(port)
        app = web.Application(client_max_size=_LARGEST_BODY)
        app.router.add_post("/v1/traces", receiver._receive)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        try:
            yield receiver
        finally:
            await runner.cleanup()

    def of_trace(self, trace: str) -> list[ReceivedSpan]:
        """Return the spans of one trace, in the order they began."""
        return sorted((span for span in list(self.spans) if span.trace == trace), key=lambda span: span.start)

    async def _receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.bodies.append(body)
        self.spans.extend(_spans(ExportTraceServiceRequest.FromString(body)))
        return web.Response(
            body=ExportTraceServiceResponse().SerializeToString(), content_type="application/x-protobuf"
        )


def _spans(request: ExportTraceServiceRequest) -> Iterable[ReceivedSpan]:
    for resource_spans in request.resource_spans:
        resource = _values(resource_spans.resource.attributes)
        process = str(resource.get("service.name", "")), str(resource.get("service.instance.id", ""))
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                yield _span(*process, span)


def _span(service: str, instance: str, span: trace_pb2.Span) -> ReceivedSpan:
    return ReceivedSpan(
        service=service,
        instance=instance,
        name=span.name,
        kind=trace_pb2.Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        trace=span.trace_id.hex(),
        span=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        links=tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
        attributes=_values(span.attributes),
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
    )


def _values(attributes: Iterable[KeyValue]) -> dict[str, object]:
    return {pair.key: next(iter(MessageToDict(pair.value).values()), None) for pair in attributes}
