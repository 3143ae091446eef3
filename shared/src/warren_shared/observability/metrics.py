"""Metrics as a documented catalogue, counted in plain integers and read only when scraped."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """One metric of a service's catalogue."""

    name: str
    """With unit suffix; a counter's without ``_total``, which the exposition adds."""
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    """Unit, meaning and, where there is one, the remedy."""
    labels: tuple[str, ...] = ()


class Histogram:
    """Observations counted into fixed buckets."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one observation."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        """Return cumulative (upper bound, count) pairs, ``+Inf`` last."""
        cumulative, pairs = 0, []
        for bound, count in zip((*map(str, self.bounds), "+Inf"), self.counts, strict=True):
            cumulative += count
            pairs.append((bound, float(cumulative)))
        return pairs


@dataclass(frozen=True, slots=True)
class Reading:
    """The value of a counter or gauge at the moment of a scrape."""

    spec: MetricSpec
    value: float
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HistogramReading:
    """A histogram at the moment of a scrape."""

    spec: MetricSpec
    histogram: Histogram
    labels: tuple[str, ...] = ()


AnyReading = Reading | HistogramReading
Collect = Callable[[], Iterable[AnyReading]]


class Metrics(Collector):
    """All readings of a process, as Prometheus text."""

    def __init__(self) -> None:
        self._sources: list[Collect] = []
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def add(self, collect: Collect) -> None:
        """Add a source; it is called at every scrape and must be quick."""
        self._sources.append(collect)

    def collect(self) -> Iterable[Metric]:
        """Read every source (called by the Prometheus client)."""
        by_spec: defaultdict[MetricSpec, list[AnyReading]] = defaultdict(list)
        for source in self._sources:
            for reading in source():
                by_spec[reading.spec].append(reading)
        return [_family(spec, readings) for spec, readings in by_spec.items()]

    def describe(self) -> Iterable[Metric]:
        """Describe nothing: sources are added after registration."""
        return ()

    def render(self) -> bytes:
        """Return the exposition text."""
        return generate_latest(self._registry)


def _family(spec: MetricSpec, readings: list[AnyReading]) -> Metric:
    if spec.kind == "histogram":
        histograms = HistogramMetricFamily(spec.name, spec.help, labels=spec.labels)
        for reading in readings:
            if isinstance(reading, HistogramReading):
                histograms.add_metric(reading.labels, reading.histogram.buckets(), reading.histogram.total)
        return histograms
    family: CounterMetricFamily | GaugeMetricFamily
    if spec.kind == "counter":
        family = CounterMetricFamily(spec.name, spec.help, labels=spec.labels)
    else:
        family = GaugeMetricFamily(spec.name, spec.help, labels=spec.labels)
    for reading in readings:
        if isinstance(reading, Reading):
            family.add_metric(reading.labels, reading.value)
    return family
