"""Hears the gateways' heartbeats."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from warren_api.domain.nodes import Nodes
from warren_shared.contracts.envelope import ContractError, decode_one_of
from warren_shared.contracts.presence import HEARTBEAT_SECONDS, Heartbeat, Stopped
from warren_shared.messaging.port import BindKey, Delivery, Inbox
from warren_shared.observability.bounded_log import BoundedLog
from warren_shared.topology.catalogue import EventKey, ExchangeName

QUEUE_LENGTH: Final = 10_000
_KEYS: Final[Sequence[BindKey]] = [
    (ExchangeName.EVENTS.value, key.value) for key in (EventKey.GATEWAY_HEARTBEAT, EventKey.GATEWAY_STOPPED)
]
_MESSAGES: Final[tuple[type[Heartbeat | Stopped], ...]] = (Heartbeat, Stopped)
_ALL_HEARD: Final = HEARTBEAT_SECONDS * 1.2
"""Seconds after which every gateway that lives has been heard."""


class Heartbeats:
    """Implements InboxListener. Knows every gateway a heartbeat after it began to listen."""

    def __init__(self, monotonic: Callable[[], float], *, bind_deadline: float) -> None:
        self._monotonic, self._bind_deadline = monotonic, bind_deadline
        self._nodes = Nodes()
        self._log = BoundedLog(monotonic)
        self._heard = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    async def gateways(self) -> Sequence[Heartbeat]:
        """Return the gateways' last heartbeats; waits, without a deadline, while none could be heard."""
        await self._heard.wait()
        return list(self._nodes.alive(self._monotonic()))

    def on_deliveries(self, deliveries: Sequence[Delivery]) -> None:
        """Take heartbeats and farewells; what cannot be read is skipped."""
        for delivery in deliveries:
            try:
                message: Heartbeat | Stopped = decode_one_of(delivery.body, *_MESSAGES)
                self._nodes.hear(message, self._monotonic())
            except ContractError as error:
                self._log.warning("heartbeat_unreadable", reason=str(error))

    async def on_open(self, inbox: Inbox) -> None:
        """Begin to listen. Raises BusError, and then all begins anew."""
        await inbox.bind(_KEYS, deadline=self._bind_deadline)
        self._timer = asyncio.get_running_loop().call_later(_ALL_HEARD, self._heard.set)

    def on_lost(self) -> None:
        """Nothing is heard until the next ``on_open``: what is known is no longer all there is."""
        self._heard.clear()
        if self._timer is not None:
            self._timer.cancel()
