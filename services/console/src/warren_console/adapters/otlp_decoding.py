"""OTLP trace requests, in both encodings, as spans of the domain.

The JSON encoding is Protobuf's JSON mapping with one exception: trace and span ids are hexadecimal
(OTLP specification, "JSON Protobuf Encoding"), where the mapping has base64 for bytes.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import orjson
from google.protobuf import json_format
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2

from warren_console.domain.spans import MAX_ATTRIBUTES, MAX_LINKS, AttributeText, Span, SpanKind, SpanRef

_KINDS: Final = {
    trace_pb2.Span.SPAN_KIND_INTERNAL: SpanKind.INTERNAL,
    trace_pb2.Span.SPAN_KIND_SERVER: SpanKind.SERVER,
    trace_pb2.Span.SPAN_KIND_CLIENT: SpanKind.CLIENT,
    trace_pb2.Span.SPAN_KIND_PRODUCER: SpanKind.PRODUCER,
    trace_pb2.Span.SPAN_KIND_CONSUMER: SpanKind.CONSUMER,
}
_SCALARS: Final = frozenset({"string_value", "bool_value", "int_value", "double_value"})
_INSTANCE: Final = "service.instance.id"
"""Kept with each span: it tells one gateway from another."""

_TRACE_ID_BYTES: Final = 16
_SPAN_ID_BYTES: Final = 8


class OtlpError(ValueError):
    """The request cannot be read; the message says why in one line."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """The spans of one request."""

    spans: tuple[Span, ...]
    invalid: int
    """Spans left out because their ids are not valid."""


def decode_protobuf(body: bytes) -> Decoded:
    """Read a request in the binary encoding. Raises OtlpError."""
    request = ExportTraceServiceRequest()
    try:
        request.ParseFromString(body)
    except DecodeError as error:
        raise OtlpError("body is no ExportTraceServiceRequest") from error
    return _spans(request)


def decode_json(body: bytes) -> Decoded:
    """Read a request in the JSON encoding. Raises OtlpError."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise OtlpError(f"body is no JSON: {error}") from error
    if not isinstance(document, dict):
        raise OtlpError("body is no JSON object")
    request = ExportTraceServiceRequest()
    try:
        _hex_ids_to_base64(document)
        json_format.ParseDict(document, request, ignore_unknown_fields=True)
    except (json_format.ParseError, ValueError, TypeError) as error:
        raise OtlpError(f"body is no ExportTraceServiceRequest: {_one_line(error)}") from error
    return _spans(request)


def _hex_ids_to_base64(document: dict[str, Any]) -> None:
    for resource in _objects(document, "resourceSpans"):
        for scope in _objects(resource, "scopeSpans"):
            for span in _objects(scope, "spans"):
                for holder in (span, *_objects(span, "links")):
                    for name in ("traceId", "spanId", "parentSpanId"):
                        if name in holder:
                            holder[name] = b64encode(bytes.fromhex(holder[name])).decode()


def _objects(holder: dict[str, Any], name: str) -> list[dict[str, Any]]:
    children = holder.get(name) or []
    if not isinstance(children, list) or not all(isinstance(child, dict) for child in children):
        raise OtlpError(f"{name} is no array of objects")
    return children


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _spans(request: ExportTraceServiceRequest) -> Decoded:
    spans: list[Span] = []
    invalid = 0
    for resource in request.resource_spans:
        source = dict(_attributes(resource.resource.attributes))
        for scope in resource.scope_spans:
            for span in scope.spans:
                if _valid(span.trace_id, _TRACE_ID_BYTES) and _valid(span.span_id, _SPAN_ID_BYTES):
                    spans.append(_span(span, source))
                else:
                    invalid += 1
    return Decoded(tuple(spans), invalid)


def _valid(identifier: bytes, length: int) -> bool:
    return len(identifier) == length and any(identifier)


def _span(span: trace_pb2.Span, source: dict[str, AttributeText]) -> Span:
    attributes = {name: value for name, value in source.items() if name == _INSTANCE}
    attributes.update(_attributes(span.attributes))
    return Span(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex() if _valid(span.parent_span_id, _SPAN_ID_BYTES) else "",
        name=span.name,
        service=str(source.get("service.name", "unknown")),
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        kind=_KINDS.get(span.kind, SpanKind.UNSPECIFIED),
        failed=span.status.code == trace_pb2.Status.STATUS_CODE_ERROR,
        attributes=MappingProxyType(attributes),
        links=tuple(_links(span.links)),
    )


def _links(links: Iterable[trace_pb2.Span.Link]) -> Iterator[SpanRef]:
    for link, _ in zip(links, range(MAX_LINKS), strict=False):
        if _valid(link.trace_id, _TRACE_ID_BYTES) and _valid(link.span_id, _SPAN_ID_BYTES):
            yield SpanRef(link.trace_id.hex(), link.span_id.hex())


def _attributes(pairs: Iterable[KeyValue]) -> Iterator[tuple[str, AttributeText]]:
    for pair, _ in zip(pairs, range(MAX_ATTRIBUTES), strict=False):
        yield pair.key, _value(pair.value)


def _value(value: AnyValue) -> AttributeText:
    if value.HasField("array_value"):
        return ", ".join(str(_value(item)) for item in value.array_value.values)
    if value.HasField("kvlist_value"):
        return ", ".join(f"{pair.key}={_value(pair.value)}" for pair in value.kvlist_value.values)
    if value.HasField("bytes_value"):
        return f"{len(value.bytes_value)} bytes"
    scalar = value.WhichOneof("value")
    return getattr(value, scalar) if scalar in _SCALARS else ""
