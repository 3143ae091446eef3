"""The spans of the durable path."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler
from opentelemetry.trace import SpanContext, SpanKind, StatusCode

from warren_history.handlers.ingest import Ingest, IngestOptions
from warren_history.handlers.patience import BatchGivenBackError, Patience
from warren_history.metrics import Counts
from warren_history.ports import StoreUnavailableError
from warren_shared.contracts.namespaces import parse_namespaces
from warren_shared.messaging.port import BatchHandler, Delivery
from warren_shared.observability.trace_context import parse_traceparent
from warren_shared.observability.tracing import Tracing

from .fakes import FakeClock, FakePublisher, apart
from .memory_store import MemoryStore

QUEUE = "warren.history.3"
NAMESPACES = parse_namespaces("namespaces: [{name: chat, history_size: 100, history_ttl: 1h}]")
TRACE_A, TRACE_B = "a" * 32, "b" * 32
SAMPLED_A, SAMPLED_B = f"00-{TRACE_A}-{'1' * 16}-01", f"00-{TRACE_B}-{'2' * 16}-01"
UNSAMPLED = f"00-{TRACE_B}-{'2' * 16}-00"


def delivery(body: str, traceparent: str | None = None, message_id: str | None = None) -> Delivery:
    headers = {} if traceparent is None else {"traceparent": traceparent, "tracestate": "v=1"}
    return Delivery("warren.publish", "chat.room", body.encode(), headers, message_id, tag=7)


class Traced:
    def __init__(self, *, exporting: bool = True, sampler: Sampler = ALWAYS_ON) -> None:
        self.exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False, sampler=ParentBased(sampler))
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.store, self.publisher = MemoryStore(), FakePublisher()
        self.take: BatchHandler = Ingest(
            self.store,
            self.publisher,
            NAMESPACES,
            clock=FakeClock(),
            tracing=Tracing(provider if exporting else None),
            counts=Counts(),
            options=IngestOptions(Patience(seconds=0), publish_deadline=1, drain=1),
        ).handler(QUEUE)

    def spans(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.exporter.get_finished_spans() if span.name == name]

    def sent_headers(self) -> list[dict[str, object]]:
        return [dict(message.headers) for message in apart(self.publisher.published)]


def context_of(span: ReadableSpan) -> SpanContext:
    context = span.get_span_context()
    assert context is not None
    return context


def trace_id(span: ReadableSpan) -> str:
    return f"{context_of(span).trace_id:032x}"


@pytest.fixture
def traced() -> Traced:
    return Traced()


async def test_a_sampled_publication_is_traced_from_its_publisher_to_its_egress(traced: Traced) -> None:
    await traced.take([delivery('"x"', SAMPLED_A, "m1")])
    (process,), (append,), (publish,) = map(
        traced.spans, ("process warren.history", "append history", "publish warren.deliver")
    )
    assert {trace_id(span) for span in (process, append, publish)} == {TRACE_A}
    assert process.parent is not None
    assert f"{process.parent.span_id:016x}" == "1" * 16
    for child in (append, publish):
        assert child.parent is not None
        assert child.parent.span_id == context_of(process).span_id
    assert [link.context.span_id for link in append.links] == [context_of(process).span_id]
    assert (process.kind, append.kind, publish.kind) == (SpanKind.CONSUMER, SpanKind.INTERNAL, SpanKind.PRODUCER)

    (headers,) = traced.sent_headers()
    outgoing = parse_traceparent(headers["traceparent"])
    assert outgoing is not None
    assert outgoing.span_id == context_of(publish).span_id
    assert headers["tracestate"] == "v=1"


async def test_spans_say_where_and_what_but_never_the_payload(traced: Traced) -> None:
    await traced.take([delivery('"tomato"', SAMPLED_A, "m1"), delivery('"tomato"', UNSAMPLED)])
    (process,) = traced.spans("process warren.history")
    assert process.attributes is not None
    assert dict(process.attributes) == {
        "messaging.system": "rabbitmq",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": f"warren.publish:chat.room:{QUEUE}",
        "messaging.rabbitmq.destination.routing_key": "chat.room",
        "messaging.rabbitmq.message.delivery_tag": 7,
        "messaging.message.body.size": 8,
        "messaging.message.id": "m1",
        "warren.partition": QUEUE,
        "warren.batch_size": 2,
        "warren.redelivered": False,
        "warren.channel": "chat:room",
        "warren.namespace": "chat",
        "warren.offset": 1,
        "warren.duplicate": False,
    }
    (publish,) = traced.spans("publish warren.deliver")
    assert publish.attributes is not None
    assert publish.attributes["warren.offset"] == 1
    assert publish.attributes["messaging.destination.name"] == "warren.deliver:chat.room"
    assert all("tomato" not in span.to_json() for span in traced.exporter.get_finished_spans())


async def test_each_sampled_publication_of_a_batch_stays_in_its_own_trace(traced: Traced) -> None:
    await traced.take([delivery("1", SAMPLED_A), delivery("2", UNSAMPLED), delivery("3", SAMPLED_B)])
    processed, published = traced.spans("process warren.history"), traced.spans("publish warren.deliver")
    assert sorted(map(trace_id, processed)) == sorted(map(trace_id, published)) == [TRACE_A, TRACE_B]
    (append,) = traced.spans("append history")
    assert trace_id(append) == TRACE_A
    assert {link.context.trace_id for link in append.links} == {int(TRACE_A, 16), int(TRACE_B, 16)}
    assert append.attributes is not None
    assert append.attributes["messaging.batch.message_count"] == 3
    first, second, third = traced.sent_headers()
    assert str(first["traceparent"])[3:35] == TRACE_A
    assert second["traceparent"] == UNSAMPLED
    assert str(third["traceparent"])[3:35] == TRACE_B


async def test_an_unsampled_publication_makes_no_span_and_keeps_its_context(traced: Traced) -> None:
    await traced.take([delivery("1", UNSAMPLED), delivery("2", "nonsense")])
    assert traced.exporter.get_finished_spans() == ()
    first, _ = traced.sent_headers()
    assert (first["traceparent"], first["tracestate"]) == (UNSAMPLED, "v=1")


async def test_a_publication_without_a_trace_context_begins_a_trace_of_its_own(traced: Traced) -> None:
    await traced.take([delivery("1"), delivery("2")])
    processed, published = traced.spans("process warren.history"), traced.spans("publish warren.deliver")
    assert [span.parent for span in processed] == [None, None]
    traces = set(map(trace_id, processed))
    assert len(traces) == 2
    assert traces == set(map(trace_id, published))
    assert traces == {str(headers["traceparent"])[3:35] for headers in traced.sent_headers()}


async def test_whether_a_trace_begins_is_the_samplers_decision() -> None:
    traced = Traced(sampler=ALWAYS_OFF)
    await traced.take([delivery("1"), delivery("2", SAMPLED_A)])
    assert {trace_id(span) for span in traced.exporter.get_finished_spans()} == {TRACE_A}
    first, _ = traced.sent_headers()
    assert "traceparent" not in first


async def test_without_an_exporter_no_trace_begins() -> None:
    traced = Traced(exporting=False)
    await traced.take([delivery("1")])
    (headers,) = traced.sent_headers()
    assert "traceparent" not in headers


async def test_without_an_exporter_the_publishers_context_is_passed_on() -> None:
    traced = Traced(exporting=False)
    await traced.take([delivery("1", SAMPLED_A)])
    (headers,) = traced.sent_headers()
    assert headers["traceparent"] == SAMPLED_A


async def test_a_rejected_publication_ends_its_trace_with_the_reason(traced: Traced) -> None:
    await traced.take([delivery("no JSON", SAMPLED_A), delivery("2", SAMPLED_B)])
    rejected, accepted = sorted(traced.spans("process warren.history"), key=trace_id)
    assert rejected.attributes is not None
    assert rejected.attributes["error.type"] == "bad_payload"
    assert rejected.status.status_code is StatusCode.ERROR
    assert accepted.status.status_code is StatusCode.UNSET
    assert list(map(trace_id, traced.spans("publish warren.deliver"))) == [TRACE_B]


async def test_a_batch_that_fails_shows_on_its_spans(traced: Traced) -> None:
    traced.store.fail = StoreUnavailableError("locked")
    with pytest.raises(BatchGivenBackError):
        await traced.take([delivery("1", SAMPLED_A)])
    for name in ("process warren.history", "append history"):
        (span,) = traced.spans(name)
        assert span.status.status_code is StatusCode.ERROR
    assert traced.spans("publish warren.deliver") == []


async def test_a_redelivered_publication_is_traced_as_a_duplicate(traced: Traced) -> None:
    await traced.take([delivery("1", SAMPLED_A, "m1")])
    await traced.take([delivery("1", SAMPLED_A, "m1")])
    _, again = traced.spans("process warren.history")
    assert again.attributes is not None
    assert (again.attributes["warren.offset"], again.attributes["warren.duplicate"]) == (1, True)
