"""The catalogue of commands that come in requests of their own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from warren_gateway.adapters.emulation import Outcome
from warren_shared.observability.metrics import MetricSpec, Reading

EMULATION: Final = MetricSpec(
    "warren_gateway_emulation",
    "counter",
    "Requests with commands of clients that have HTTP alone. taken: by a connection of this gateway, also if another"
    " gateway sent it; forwarded: to another gateway; no_session: the connection is over; no_gateway: there is none of"
    " that name; failed: the broker did not take it; limited: the session has sent too much.",
    ("outcome",),
)
CATALOGUE: Final = (EMULATION,)


def readings(counts: Mapping[Outcome, int]) -> Iterable[Reading]:
    """Read the counts. What has not happened yet reads 0."""
    for outcome in Outcome:
        yield Reading(EMULATION, counts.get(outcome, 0), (outcome.value,))
