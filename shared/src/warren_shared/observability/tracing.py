"""Spans of a service: few, named from a small set, and none where nobody samples.

Span names are ``{operation} {destination}`` with a destination of low cardinality (an exchange, an
RPC method), as the OpenTelemetry messaging conventions ask; channel names are attributes only.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import (
    INVALID_SPAN,
    INVALID_SPAN_CONTEXT,
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
)
from opentelemetry.util.types import AttributeValue

from warren_shared.observability.trace_context import format_traceparent, sampled_context

_ENDPOINT_VARIABLES: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
NEW_TRACE: Final = INVALID_SPAN_CONTEXT
"""As a span's parent: it has none, whatever span is current."""

_NOTHING: Final = Context()
_FLUSH_SECONDS: Final = 2.0


class Tracing:
    """Makes spans if an exporter is configured; else every call is cheap and does nothing."""

    def __init__(self, provider: TracerProvider | None) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("warren") if provider else None

    @classmethod
    def from_environment(cls, service: str, instance: str) -> Tracing:
        """Export over OTLP/HTTP where the standard ``OTEL_*`` variables say, else trace nothing."""
        if not any(os.environ.get(name) for name in _ENDPOINT_VARIABLES):
            return cls(None)
        resource = Resource.create(
            {"service.name": service, "service.namespace": "warren", "service.instance.id": instance}
        )
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(), schedule_delay_millis=500))
        return cls(provider)

    def spans_roots(self) -> bool:
        """Whether an exporter is configured, so that new traces may begin here."""
        return self._tracer is not None

    def incoming(self, headers: Mapping[str, object]) -> SpanContext | None:
        """Return the sampled context a message carries, None if there is none or nobody exports."""
        return sampled_context(headers) if self._tracer is not None else None

    def origin(self, headers: Mapping[str, object]) -> SpanContext | None:
        """Return the parent for a span of a message that may begin a trace, None if it shall have no span.

        That is the sampled context it carries. Where it carries none at all it is NEW_TRACE, and the
        sampler decides; one that says it is not sampled has been decided on already.
        """
        if self._tracer is None:
            return None
        return sampled_context(headers) if "traceparent" in headers else NEW_TRACE

    @contextmanager
    def span(
        self,
        operation: str,
        destination: str,
        *,
        kind: SpanKind,
        parent: SpanContext | None = None,
        links: Sequence[SpanContext] = (),
        attributes: Mapping[str, AttributeValue] | None = None,
    ) -> Iterator[Span]:
        """Make a span that ends with the block and is current inside it.

        Without ``parent`` the current span is the parent, or a new trace begins if there is none;
        then, and with NEW_TRACE, the sampler decides. An exception is recorded by its type alone: its
        text may hold data.
        """
        if self._tracer is None:
            yield INVALID_SPAN
            return
        context = trace.set_span_in_context(NonRecordingSpan(parent), _NOTHING) if parent else None
        span = self._tracer.start_span(
            f"{operation} {destination}",
            context=context,
            kind=kind,
            links=[Link(link) for link in links],
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        )
        with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            try:
                yield span
            except BaseException as error:
                span.set_attribute("error.type", type(error).__qualname__)
                span.set_status(Status(StatusCode.ERROR))
                raise

    def outgoing(self, span: Span | None = None) -> dict[str, str]:
        """Return the headers that make ``span`` (the current one if None) a message's parent."""
        if self._tracer is None:
            return {}
        return format_traceparent((span or trace.get_current_span()).get_span_context())

    def shutdown(self) -> None:
        """Export what is left, for at most two seconds; blocks.

        The SDK's own deadlines do not hold while an exporter waits for a backend that does not answer
        (opentelemetry-python issue 4568), so a thread that nobody waits for longer does it.
        """
        if self._provider is not None:
            last = threading.Thread(target=self._provider.shutdown, name="last spans", daemon=True)
            last.start()
            last.join(_FLUSH_SECONDS)
