"""Counters of the socket side, and how they read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

from warren_shared.observability.metrics import MetricSpec, Reading

CONNECTIONS: Final = MetricSpec("warren_gateway_connections", "gauge", "Open connections.")
ACCEPTED: Final = MetricSpec("warren_gateway_connections_accepted", "counter", "Connections opened.")
REFUSED: Final = MetricSpec(
    "warren_gateway_connections_refused",
    "counter",
    "Connections refused before they were opened, by reason: origin, limit, rate, draining.",
    ("reason",),
)
COMMANDS: Final = MetricSpec("warren_gateway_commands", "counter", "Commands of clients, by method.", ("method",))
ERROR_REPLIES: Final = MetricSpec("warren_gateway_error_replies", "counter", "Error replies, by code.", ("code",))
DISCONNECTS: Final = MetricSpec(
    "warren_gateway_disconnects",
    "counter",
    "Connections closed by the gateway, by code; 3008 tells of clients or networks that are too slow.",
    ("code",),
)
CUT: Final = MetricSpec(
    "warren_gateway_connections_cut", "counter", "Connections cut because the client did not answer a close in time."
)

CATALOGUE: Final = (CONNECTIONS, ACCEPTED, REFUSED, COMMANDS, ERROR_REPLIES, DISCONNECTS, CUT)


class SocketCounters:
    """Plain numbers, read at a scrape."""

    __slots__ = ("accepted", "commands", "cut", "disconnects", "error_replies", "refused")

    def __init__(self) -> None:
        self.accepted = self.cut = 0
        self.refused: Counter[str] = Counter()
        self.commands: Counter[str] = Counter()
        self.error_replies: Counter[int] = Counter()
        self.disconnects: Counter[int] = Counter()


def readings(counters: SocketCounters, connections: Callable[[], int]) -> Iterable[Reading]:
    """Read the counters; ``connections`` tells how many are open."""
    yield Reading(CONNECTIONS, connections())
    yield Reading(ACCEPTED, counters.accepted)
    yield Reading(CUT, counters.cut)
    for reason, count in counters.refused.items():
        yield Reading(REFUSED, count, (reason,))
    for method, count in counters.commands.items():
        yield Reading(COMMANDS, count, (method,))
    for code, count in counters.error_replies.items():
        yield Reading(ERROR_REPLIES, count, (str(code),))
    for code, count in counters.disconnects.items():
        yield Reading(DISCONNECTS, count, (str(code),))
