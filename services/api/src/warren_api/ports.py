"""What the API's handlers need of the outside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from warren_api.domain.publications import Publication
from warren_shared.contracts.control import Order
from warren_shared.contracts.history import Page, ReadRequest
from warren_shared.contracts.presence import Heartbeat, Members, Stats


class Services(Protocol):
    """Warren's services. Each method raises RejectionError with what a service answered, 100 where none did."""

    async def publish(self, publication: Publication) -> None:
        """Publish, and return when the broker has confirmed it. Calls of one task keep their order."""

    async def order(self, order: Order) -> None:
        """Have all gateways carry an order out; returns when the broker has confirmed it, before they have."""

    async def presence(self, channel: str) -> Members:
        """Return who is in a channel."""

    async def presence_stats(self, channel: str) -> Stats:
        """Return how many are in a channel."""

    async def history(self, request: ReadRequest) -> Page:
        """Read a channel's stream."""

    async def remove_history(self, channel: str) -> None:
        """Remove what is stored of a channel."""

    async def gateways(self) -> Sequence[Heartbeat]:
        """Return the last heartbeat of every gateway there is."""
