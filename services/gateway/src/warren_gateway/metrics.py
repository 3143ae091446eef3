"""The gateway's catalogue of metrics."""

from __future__ import annotations

from typing import Final

from warren_gateway import bus_metrics, control_metrics, emulation_metrics, socket_metrics
from warren_shared.observability.metrics import MetricSpec

CATALOGUE: Final[tuple[MetricSpec, ...]] = (
    *socket_metrics.CATALOGUE,
    *bus_metrics.CATALOGUE,
    *control_metrics.CATALOGUE,
    *emulation_metrics.CATALOGUE,
)
