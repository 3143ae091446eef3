"""The catalogue of what backends order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from warren_gateway.handlers.orders import KINDS, Outcome
from warren_shared.observability.metrics import MetricSpec, Reading

CONTROL: Final = MetricSpec(
    "warren_gateway_control",
    "counter",
    "What backends ordered over warren.control. nobody: whom it named is not on this gateway; rejected: it was not"
    " understood, see the dead letters' reasons; dropped: more came than is carried out.",
    ("command", "outcome"),
)
CATALOGUE: Final = (CONTROL,)


def readings(counts: Mapping[tuple[str, Outcome], int]) -> Iterable[Reading]:
    """Read the counts. What has not happened yet reads 0."""
    for kind in KINDS:
        for outcome in Outcome:
            yield Reading(CONTROL, counts.get((kind, outcome), 0), (kind, outcome.value))
