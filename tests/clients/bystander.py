"""Somebody else on the same gateway, whom nothing that happens there may disturb."""

from __future__ import annotations

from clients.backend import Backend
from clients.sdk import SdkClient, subscribed


class Bystander:
    """An SDK client on a live and a durable channel."""

    def __init__(self, client: SdkClient, channels: tuple[str, ...]) -> None:
        self.client, self._channels = client, channels
        self._mark = client.log.mark()

    @classmethod
    async def settle(cls, client: SdkClient, name: str) -> Bystander:
        """Subscribe a connected client."""
        channels = (f"live:{name}", f"chat:{name}")
        await subscribed(client, *channels)
        return cls(client, channels)

    async def check(self, backend_url: str) -> None:
        """Fail unless nothing happened to the connection, and publications still arrive."""
        async with Backend.connected(backend_url) as backend:
            for channel in self._channels:
                await backend.publish(channel, "still here?")
        for channel in self._channels:
            await self.client.log.one("publication", channel)
        happened = [event for event in self.client.log.events[self._mark :] if event.name not in _EXPECTED]
        assert not happened, happened


_EXPECTED = frozenset({"publication", "join", "leave"})
