"""Counters of the socket side, and how they read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

from warren_gateway.domain.commands import METHODS
from warren_shared.contracts.codes import Disconnect, Disconnects, ErrorCode, Errors
from warren_shared.observability.metrics import MetricSpec, Reading

_REFUSALS: Final = ("draining", "origin", "limit", "rate")
_ERROR_CODES: Final = frozenset(each.code for each in vars(Errors).values() if isinstance(each, ErrorCode))
_DISCONNECT_CODES: Final = frozenset(each.code for each in vars(Disconnects).values() if isinstance(each, Disconnect))

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

ORDERS_REFUSED: Final = MetricSpec(
    "warren_gateway_control_refused",
    "counter",
    "Times a client could not be subscribed to a channel that a backend ordered: it has too many, or history is down.",
)

CATALOGUE: Final = (CONNECTIONS, ACCEPTED, REFUSED, COMMANDS, ERROR_REPLIES, DISCONNECTS, CUT, ORDERS_REFUSED)


class SocketCounters:
    """Plain numbers, read at a scrape."""

    __slots__ = ("accepted", "commands", "cut", "disconnects", "error_replies", "orders_refused", "refused")

    def __init__(self) -> None:
        self.accepted = self.cut = self.orders_refused = 0
        self.refused: Counter[str] = Counter()
        self.commands: Counter[str] = Counter()
        self.error_replies: Counter[int] = Counter()
        self.disconnects: Counter[int] = Counter()


def readings(counters: SocketCounters, connections: Callable[[], int]) -> Iterable[Reading]:
    """Read the counters; ``connections`` tells how many are open. What has not happened yet reads 0."""
    yield Reading(CONNECTIONS, connections())
    yield Reading(ACCEPTED, counters.accepted)
    yield Reading(CUT, counters.cut)
    yield Reading(ORDERS_REFUSED, counters.orders_refused)
    for reason in sorted({*_REFUSALS, *counters.refused}):
        yield Reading(REFUSED, counters.refused[reason], (reason,))
    for method in METHODS:
        yield Reading(COMMANDS, counters.commands[method], (method,))
    # Auth may answer with other codes.
    for code in sorted({*_ERROR_CODES, *counters.error_replies}):
        yield Reading(ERROR_REPLIES, counters.error_replies[code], (str(code),))
    for code in sorted({*_DISCONNECT_CODES, *counters.disconnects}):
        yield Reading(DISCONNECTS, counters.disconnects[code], (str(code),))
