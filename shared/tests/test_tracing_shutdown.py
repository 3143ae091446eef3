"""The end of tracing: what is left is exported, and a backend that does not answer is not waited for."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import SpanKind

from warren_shared.observability.tracing import Tracing


class Backend(SpanExporter):
    """Takes spans as soon as it is told to answer."""

    def __init__(self, *, answers: bool) -> None:
        self.answer = threading.Event()
        self.names: list[str] = []
        if answers:
            self.answer.set()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.answer.wait()
        self.names += [span.name for span in spans]
        return SpanExportResult.SUCCESS


def tracing_to(backend: Backend) -> Tracing:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(backend, schedule_delay_millis=60_000))
    tracing = Tracing(provider)
    with tracing.span("publish", "chat", kind=SpanKind.PRODUCER):
        pass
    return tracing


def test_what_is_left_is_exported_at_the_end() -> None:
    backend = Backend(answers=True)
    tracing_to(backend).shutdown()

    assert backend.names == ["publish chat"]


def test_a_backend_that_does_not_answer_is_waited_for_no_longer_than_two_seconds() -> None:
    backend = Backend(answers=False)
    tracing = tracing_to(backend)
    began = time.monotonic()
    tracing.shutdown()

    assert 2 <= time.monotonic() - began < 8
    backend.answer.set()
