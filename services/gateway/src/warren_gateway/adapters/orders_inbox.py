"""The queue of a gateway for what backends order: its own, so that no flood of publications drops any."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import structlog

from warren_gateway.handlers.orders import Orders
from warren_shared.messaging.port import BindKey, Delivery, Inbox
from warren_shared.topology.catalogue import ControlKey, ExchangeName

QUEUE_LENGTH: Final = 10_000
"""Orders the broker keeps for a gateway that does not keep up; beyond that it drops the oldest."""
_KEYS: Final[Sequence[BindKey]] = [(ExchangeName.CONTROL.value, ControlKey.USER.value)]
_log = structlog.get_logger()


class OrdersInbox:
    """Implements InboxListener."""

    def __init__(self, orders: Orders, dead_letter: Callable[[Delivery, str], None], *, bind_deadline: float) -> None:
        self._orders, self._dead_letter, self._bind_deadline = orders, dead_letter, bind_deadline

    def on_deliveries(self, deliveries: Sequence[Delivery]) -> None:
        """Hand orders on; one that cannot be used disturbs no other."""
        for delivery in deliveries:
            try:
                self._orders.take(delivery)
            except Exception:  # noqa: BLE001 - a bug that one order meets must not lose the others
                _log.exception("delivery_crashed", exchange=delivery.exchange)
                self._dead_letter(delivery, "the gateway failed to handle it")

    async def on_open(self, inbox: Inbox) -> None:
        """Bind. Raises BusError, and then all begins anew."""
        await inbox.bind(_KEYS, deadline=self._bind_deadline)

    def on_lost(self) -> None:
        """What is ordered now is missed, as docs/backends.md says."""
