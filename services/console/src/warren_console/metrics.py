"""The console's metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from warren_console.domain.traces import TraceStore
from warren_shared.observability.metrics import MetricSpec, Reading

SPANS_RECEIVED: Final = MetricSpec("warren_console_spans_received", "counter", "Spans taken from OTLP exporters.")
SPANS_REFUSED: Final = MetricSpec(
    "warren_console_spans_refused", "counter", "Spans of traces that already held as many as the store keeps of one."
)
SPANS_INVALID: Final = MetricSpec("warren_console_spans_invalid", "counter", "Spans without valid ids.")
TRACES_EVICTED: Final = MetricSpec(
    "warren_console_traces_evicted", "counter", "Old traces that made room. Raise traces_kept if they go too soon."
)
TRACES: Final = MetricSpec("warren_console_traces", "gauge", "Traces in the store.")
TRACE_BYTES: Final = MetricSpec("warren_console_trace_store_bytes", "gauge", "Memory of the trace store, estimated.")
OTLP_REJECTED: Final = MetricSpec(
    "warren_console_otlp_requests_rejected", "counter", "OTLP requests that could not be read; the log says why."
)
HOSTS_REFUSED: Final = MetricSpec(
    "warren_console_hosts_refused",
    "counter",
    "Requests under a name the console is not known by. Add it to allowed_hosts if it is yours.",
)
DEV_TOKENS: Final = MetricSpec("warren_console_dev_tokens", "counter", "Development tokens issued.")

CATALOGUE: Final = (
    SPANS_RECEIVED,
    SPANS_REFUSED,
    SPANS_INVALID,
    TRACES_EVICTED,
    TRACES,
    TRACE_BYTES,
    OTLP_REJECTED,
    HOSTS_REFUSED,
    DEV_TOKENS,
)


@dataclass(slots=True)
class Counters:
    """What the HTTP side counts."""

    spans_invalid: int = 0
    otlp_rejected: int = 0
    hosts_refused: int = 0
    dev_tokens: int = 0


def collector(store: TraceStore, counters: Counters) -> Callable[[], Iterable[Reading]]:
    """Return the function that reads all metrics."""

    def collect() -> Iterable[Reading]:
        return (
            Reading(SPANS_RECEIVED, store.spans_received),
            Reading(SPANS_REFUSED, store.spans_refused),
            Reading(SPANS_INVALID, counters.spans_invalid),
            Reading(TRACES_EVICTED, store.traces_evicted),
            Reading(TRACES, len(store)),
            Reading(TRACE_BYTES, store.size),
            Reading(OTLP_REJECTED, counters.otlp_rejected),
            Reading(HOSTS_REFUSED, counters.hosts_refused),
            Reading(DEV_TOKENS, counters.dev_tokens),
        )

    return collect
