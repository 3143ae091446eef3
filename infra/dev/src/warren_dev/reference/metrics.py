"""docs/reference/metrics.md: every metric of every service."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from warren_dev.reference.discovery import SERVICES, service_metrics, shared_metrics
from warren_dev.reference.markdown import code, page, prose, table
from warren_shared.observability.metrics import MetricSpec

_INTRODUCTION = """
Each process serves these at `/metrics` of its ops port in Prometheus' text format. Names are as exposed: counters end
in `_total`, histograms come as `_bucket`, `_sum` and `_count`. Labels never hold channel names or users; namespaces
they may. What to watch and what to do about it: [docs/operator.md](../operator.md#alerts).
"""


def metrics_page() -> str:
    """Return the page."""
    sections = [block for service in SERVICES for block in _section(service.capitalize(), service_metrics(service))]
    return page("Metrics", _INTRODUCTION, *_section("Every service", shared_metrics()), *sections)


def exposed_name(spec: MetricSpec) -> str:
    """Return a metric's name as a scrape shows it."""
    return f"{spec.name}_total" if spec.kind == "counter" else spec.name


def _section(title: str, specs: Iterable[MetricSpec]) -> tuple[str, str]:
    return f"## {title}", table(["metric", "kind", "labels", "meaning"], _rows(specs))


def _rows(specs: Iterable[MetricSpec]) -> Iterator[Sequence[str]]:
    for spec in specs:
        yield code(exposed_name(spec)), spec.kind, ", ".join(map(code, spec.labels)), prose(spec.help)
