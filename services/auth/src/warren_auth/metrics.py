"""Auth's metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import product
from typing import Final

from warren_auth.domain.decisions import Outcome
from warren_auth.handlers.requests import METHODS, RequestHandler
from warren_shared.observability.metrics import AnyReading, HistogramReading, MetricSpec, Reading

REQUESTS: Final = MetricSpec(
    "warren_auth_requests",
    "counter",
    "Requests decided, by method and outcome. Many invalid_token: a backend signs with another secret.",
    ("method", "outcome"),
)
REJECTED: Final = MetricSpec(
    "warren_auth_requests_rejected", "counter", "Requests that could not be read; the log says why."
)
SECONDS: Final = MetricSpec("warren_auth_decision_seconds", "histogram", "How long decisions took, in seconds.")

INSECURE: Final = MetricSpec(
    "warren_auth_insecure", "gauge", "1 where everybody is let in and may do everything; never in production."
)

CATALOGUE: Final = (REQUESTS, REJECTED, SECONDS, INSECURE)


def collector(handler: RequestHandler, *, insecure: bool = False) -> Callable[[], Iterable[AnyReading]]:
    """Return the function that reads all metrics; outcomes that have not happened read 0."""

    def collect() -> Iterable[AnyReading]:
        for method, outcome in product(METHODS, Outcome):
            yield Reading(REQUESTS, handler.decisions[method, outcome], (method, outcome.value))
        yield Reading(REJECTED, handler.rejected)
        yield HistogramReading(SECONDS, handler.seconds)
        yield Reading(INSECURE, insecure)

    return collect
