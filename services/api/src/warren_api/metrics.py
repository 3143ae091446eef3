"""The API's metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from itertools import product
from typing import Final

from warren_shared.observability.metrics import AnyReading, Histogram, HistogramReading, MetricSpec, Reading

OK: Final = "ok"
REJECTED: Final = "rejected"
FAILED: Final = "failed"
OUTCOMES: Final = (OK, REJECTED, FAILED)
REFUSALS: Final = ("key", "busy", "too_large", "unreadable")
_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0)

REQUESTS: Final = MetricSpec(
    "warren_api_requests",
    "counter",
    "Requests carried out, by method and outcome: ok, rejected (the caller's mistake), failed (a service or the "
    "broker did not answer). Commands of a batch count one by one.",
    ("method", "outcome"),
)
REFUSED: Final = MetricSpec(
    "warren_api_requests_refused",
    "counter",
    "HTTP requests refused before they were carried out, by reason: key, busy, too_large, unreadable.",
    ("reason",),
)
SECONDS: Final = MetricSpec("warren_api_request_seconds", "histogram", "How long HTTP requests took, in seconds.")
CATALOGUE: Final = (REQUESTS, REFUSED, SECONDS)


class Counts:
    """Plain numbers, read at a scrape."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str]] = Counter()
        self.refused: Counter[str] = Counter()
        self.seconds = Histogram(_SECONDS)


def collector(counts: Counts, methods: Iterable[str]) -> Callable[[], Iterable[AnyReading]]:
    """Return the function that reads all metrics; what has not happened reads 0."""
    names = tuple(methods)

    def collect() -> Iterable[AnyReading]:
        for method, outcome in product(names, OUTCOMES):
            yield Reading(REQUESTS, counts.requests[method, outcome], (method, outcome))
        for reason in REFUSALS:
            yield Reading(REFUSED, counts.refused[reason], (reason,))
        yield HistogramReading(SECONDS, counts.seconds)

    return collect
