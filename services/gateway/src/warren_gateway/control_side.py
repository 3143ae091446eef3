"""Wires what backends order to the connections it is about."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from warren_gateway.adapters.orders_inbox import QUEUE_LENGTH, OrdersInbox
from warren_gateway.control_metrics import readings
from warren_gateway.domain.rules import SessionRules
from warren_gateway.handlers.orders import Orders
from warren_gateway.ports import Clients
from warren_shared.contracts.codes import ErrorCode
from warren_shared.messaging.port import Delivery
from warren_shared.observability.metrics import Reading
from warren_shared.runtime.service import Context


def take_orders(
    context: Context,
    rules: SessionRules,
    clients: Clients,
    dead_letter: Callable[[Delivery, str], None],
    *,
    bind_deadline: float,
) -> None:
    """Carry out what backends order from now on; it works once the bus runs."""
    orders = Orders(
        clients,
        dead_letter,
        context.tracing,
        check_channel=lambda channel: _wrong_with(rules, channel),
        defer=asyncio.get_running_loop().call_soon,
        now=context.clock.now,
        monotonic=context.clock.monotonic,
    )
    inbox = OrdersInbox(orders, dead_letter, bind_deadline=bind_deadline)
    context.bus.open_inbox(inbox, max_length=QUEUE_LENGTH)

    def collect() -> Iterable[Reading]:
        return readings(orders.counts)

    context.ops.add_metrics(collect)


def _wrong_with(rules: SessionRules, channel: str) -> str | None:
    options = rules.subscribable(channel)
    return options.message if isinstance(options, ErrorCode) else None
