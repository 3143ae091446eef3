"""The metrics exposition."""

from __future__ import annotations

from warren_shared.observability.metrics import Histogram, HistogramReading, Metrics, MetricSpec, Reading

HITS = MetricSpec("warren_hits", "counter", "Hits.", ("namespace",))
DEPTH = MetricSpec("warren_depth", "gauge", "Depth.")
TOOK = MetricSpec("warren_took_seconds", "histogram", "Seconds.")


def test_values_are_read_at_the_scrape() -> None:
    metrics = Metrics()
    hits = [1.0]
    metrics.add(lambda: [Reading(HITS, hits[0], ("chat",)), Reading(DEPTH, 7)])
    hits[0] = 5

    text = metrics.render().decode()

    assert 'warren_hits_total{namespace="chat"} 5.0' in text
    assert "warren_depth 7.0" in text


def test_a_metric_from_two_sources_is_one_family() -> None:
    metrics = Metrics()
    metrics.add(lambda: [Reading(HITS, 1, ("a",))])
    metrics.add(lambda: [Reading(HITS, 2, ("b",))])

    assert metrics.render().decode().count("# TYPE warren_hits_total counter") == 1


def test_a_histogram_counts_each_bound_inclusively() -> None:
    histogram = Histogram((0.1, 1.0))
    for value in (0.05, 0.1, 0.5, 3.0):
        histogram.observe(value)
    metrics = Metrics()
    metrics.add(lambda: [HistogramReading(TOOK, histogram)])

    text = metrics.render().decode()

    assert 'warren_took_seconds_bucket{le="0.1"} 2.0' in text
    assert 'warren_took_seconds_bucket{le="1.0"} 3.0' in text
    assert 'warren_took_seconds_bucket{le="+Inf"} 4.0' in text
    assert "warren_took_seconds_sum 3.65" in text
