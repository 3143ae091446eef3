"""A numbered stream that SDK clients follow while something breaks, and the promise they are held to."""

from __future__ import annotations

from collections.abc import Sequence

from clients.backend import Stream
from clients.party import Clients
from clients.sdk import SdkClient, connected, subscribed

ONE_EACH = (("python", 0), ("js", 1))
"""One SDK on each gateway."""
ALL_EVERYWHERE = tuple((sdk, gateway) for sdk in ("python", "js") for gateway in (0, 1))
"""Each SDK on each gateway."""


class FollowedStream(Stream):
    """Publishes as Stream does; ``everybody`` has subscribed before."""

    def __init__(self, url: str, channel: str, count: int, everybody: Sequence[SdkClient]) -> None:
        super().__init__(url, channel, count)
        self.channel, self.count, self.everybody = channel, count, everybody

    @classmethod
    async def begin(
        cls,
        clients: Clients,
        backend_url: str,
        channel: str,
        count: int,
        followers: Sequence[tuple[str, int]] = ALL_EVERYWHERE,
    ) -> FollowedStream:
        """Connect and subscribe followers, (SDK, gateway) each; nothing is published yet."""
        everybody = [
            await subscribed(await connected(await clients.make(sdk, gateway, f"{sdk}-{gateway}")), channel)
            for sdk, gateway in followers
        ]
        return cls(backend_url, channel, count, everybody)

    async def everybody_has_everything(self, *, deadline: float) -> None:
        """Wait until each follower has all, and hold it to once and in order."""
        for client in self.everybody:
            await client.log.until("publication", self.channel, count=self.count, deadline=deadline)
            assert client.log.data(self.channel) == list(range(self.count))
            offsets = [event["offset"] for event in client.log.all("publication", self.channel)]
            assert offsets == list(range(1, self.count + 1))
