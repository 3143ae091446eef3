"""The spans of a batch; where nothing is sampled, a look at each delivery's headers and no more.

For each sampled delivery one CONSUMER span, a child of whoever published it, from the batch's arrival
to its last confirm, and in it one PRODUCER span for its way to the gateways. A delivery that brings no
trace context at all begins a trace, if the sampler says so: most backends trace nothing. For the batch's
transaction one span, linked to all of them and a child of the first, so that it is found in a trace.
Names and attributes: OpenTelemetry semantic conventions for messaging. Never payloads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Final

from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.util.types import AttributeValue

from warren_history.domain.admission import Rejected
from warren_history.domain.publications import Appended, NewPublication
from warren_shared.contracts.channels import namespace_of
from warren_shared.messaging.port import Delivery
from warren_shared.observability.tracing import Tracing
from warren_shared.topology.catalogue import ExchangeName

_SYSTEM: Final = {"messaging.system": "rabbitmq"}
_DELIVER: Final = ExchangeName.DELIVER.value

Spans = Mapping[int, Span]
"""The CONSUMER spans of a batch, by their delivery's place in it; most batches have none."""


@contextmanager
def processing(tracing: Tracing, queue: str, deliveries: Sequence[Delivery]) -> Iterator[Spans]:
    """Have a span for each sampled delivery while the block runs."""
    origins = {
        place: origin
        for place, delivery in enumerate(deliveries)
        if (origin := tracing.origin(delivery.headers)) is not None
    }
    with ExitStack() as stack:
        spans = {
            place: stack.enter_context(
                tracing.span(
                    "process",
                    ExchangeName.HISTORY,
                    kind=SpanKind.CONSUMER,
                    parent=origin,
                    attributes=_processed(deliveries[place], queue, len(deliveries)),
                )
            )
            for place, origin in origins.items()
        }
        yield {place: span for place, span in spans.items() if span.is_recording()}


@contextmanager
def appending(tracing: Tracing, spans: Spans, batch_size: int) -> Iterator[None]:
    """Have a span for the batch's transaction, if any delivery has one."""
    if not spans:
        yield
        return
    contexts = [span.get_span_context() for span in spans.values()]
    attributes = {"messaging.batch.message_count": batch_size, "warren.batch_size": batch_size}
    with tracing.span(
        "append", "history", kind=SpanKind.INTERNAL, parent=contexts[0], links=contexts, attributes=attributes
    ):
        yield


@contextmanager
def publishing(
    tracing: Tracing, spans: Spans, deliveries: Sequence[Delivery], appended: Mapping[int, Appended]
) -> Iterator[Mapping[int, Mapping[str, str]]]:
    """Have a span for each sampled publication on its way out; yields the headers to send along."""
    with ExitStack() as stack:
        headers = {}
        for place, parent in spans.items():
            result = appended.get(place)
            if result is None:
                continue
            span = tracing.span(
                "publish",
                _DELIVER,
                kind=SpanKind.PRODUCER,
                parent=parent.get_span_context(),
                attributes=_published(deliveries[place], result),
            )
            headers[place] = tracing.outgoing(stack.enter_context(span))
        yield headers


def note_admission(spans: Spans, outcomes: Mapping[int, NewPublication | Rejected]) -> None:
    """Say on the spans what became of their deliveries."""
    for place, span in spans.items():
        outcome = outcomes[place]
        if isinstance(outcome, Rejected):
            span.set_attribute("error.type", outcome.reason.value)
            span.set_status(Status(StatusCode.ERROR, outcome.reason.value))
        else:
            span.set_attribute("warren.channel", outcome.channel)
            span.set_attribute("warren.namespace", namespace_of(outcome.channel))


def note_positions(spans: Spans, appended: Mapping[int, Appended]) -> None:
    """Say on the spans where their publications were stored."""
    for place, span in spans.items():
        if place in appended:
            span.set_attribute("warren.offset", appended[place].offset)
            span.set_attribute("warren.duplicate", appended[place].duplicate)


def _processed(delivery: Delivery, queue: str, batch_size: int) -> dict[str, AttributeValue]:
    attributes: dict[str, AttributeValue] = {
        **_SYSTEM,
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": f"{delivery.exchange}:{delivery.routing_key}:{queue}",
        "messaging.rabbitmq.destination.routing_key": delivery.routing_key,
        "messaging.rabbitmq.message.delivery_tag": delivery.tag,
        "messaging.message.body.size": len(delivery.body),
        "warren.partition": queue,
        "warren.batch_size": batch_size,
        "warren.redelivered": delivery.redelivered,
    }
    if delivery.message_id:
        attributes["messaging.message.id"] = delivery.message_id
    return attributes


def _published(delivery: Delivery, appended: Appended) -> dict[str, AttributeValue]:
    attributes: dict[str, AttributeValue] = {
        **_SYSTEM,
        "messaging.operation.name": "publish",
        "messaging.operation.type": "send",
        "messaging.destination.name": f"{_DELIVER}:{delivery.routing_key}",
        "messaging.rabbitmq.destination.routing_key": delivery.routing_key,
        "messaging.message.body.size": len(appended.content.data),
        "warren.offset": appended.offset,
    }
    if delivery.message_id:
        attributes["messaging.message.id"] = delivery.message_id
    return attributes
