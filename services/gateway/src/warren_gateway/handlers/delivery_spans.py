"""Traces and times of the fan-out: one span for each traced delivery, however many sockets it reaches."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack

from opentelemetry.trace import SpanContext, SpanKind
from opentelemetry.util.types import AttributeValue

from warren_shared.observability.metrics import Histogram
from warren_shared.observability.tracing import Tracing
from warren_shared.topology.catalogue import ExchangeName


class DeliverySpans:
    """Observes the fan-out."""

    def __init__(self, tracing: Tracing, seconds: Histogram) -> None:
        self._tracing, self._seconds = tracing, seconds

    def writing(self, channel: str, traces: Sequence[object], recipients: int) -> AbstractContextManager[object]:
        """Make a span for each publication: child of what published it, and linked to it."""
        attributes: dict[str, AttributeValue] = {
            "messaging.system": "rabbitmq",
            "messaging.operation.type": "process",
            "messaging.destination.name": ExchangeName.DELIVER.value,
            "warren.channel": channel,
            "warren.recipients": recipients,
        }
        spans = ExitStack()
        for context in traces:
            if isinstance(context, SpanContext):
                spans.enter_context(
                    self._tracing.span(
                        "deliver",
                        ExchangeName.DELIVER.value,
                        kind=SpanKind.CONSUMER,
                        parent=context,
                        links=[context],
                        attributes=attributes,
                    )
                )
        return spans

    def written(self, seconds: float) -> None:
        """Count how long a pass took."""
        self._seconds.observe(seconds)
