"""The index: channel, gateway, client. It knows who is where, and nothing of time or announcements."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from warren_presence.domain.occupants import Occupant
from warren_shared.contracts.presence import Stats

Removed = tuple[str, Occupant]
"""(channel, who was in it)."""
Turn = tuple[str, bool]
"""(channel, whether somebody is in it now)."""


class Occupancy:
    """Who is in which channel, and through which gateway."""

    def __init__(self) -> None:
        self._channels: dict[str, dict[str, dict[str, Occupant]]] = {}
        self._gateways: dict[str, set[str]] = {}
        self._turned: list[Turn] = []
        self.size = 0
        """How many occupants there are, over all channels."""

    @property
    def num_channels(self) -> int:
        """How many channels have anyone in them."""
        return len(self._channels)

    def take_turns(self) -> list[Turn]:
        """Return which channels the first came into, or the last left, since this was last asked, in order."""
        turned, self._turned = self._turned, []
        return turned

    def is_occupied(self, channel: str) -> bool:
        """Whether anyone is in a channel."""
        return channel in self._channels

    def enter(self, gateway: str, channel: str, occupant: Occupant) -> bool:
        """Put someone in, replacing what is known of it; return whether it was not in."""
        occupants = self._opened(channel).setdefault(gateway, {})
        self._gateways.setdefault(gateway, set()).add(channel)
        new = occupant.client not in occupants
        occupants[occupant.client] = occupant
        self.size += new
        return new

    def leave(self, gateway: str, channel: str, client: str) -> Occupant | None:
        """Take someone out; return who it was, None if it was not in."""
        occupants = self._channels.get(channel, {}).get(gateway, {})
        occupant = occupants.pop(client, None)
        if occupant is not None:
            self.size -= 1
            self._tidy(gateway, channel)
        return occupant

    def replace(
        self, gateway: str, channel: str, occupants: Iterable[Occupant]
    ) -> tuple[list[Occupant], list[Occupant]]:
        """Put in exactly these of a gateway; return (who was not in, who is in no more)."""
        before = self._channels.get(channel, {}).get(gateway, {})
        after = {occupant.client: occupant for occupant in occupants}
        self.size += len(after) - len(before)
        if after:
            self._opened(channel)[gateway] = after
            self._gateways.setdefault(gateway, set()).add(channel)
        elif before:
            self._channels[channel][gateway] = {}
            self._tidy(gateway, channel)
        joined = [occupant for client, occupant in after.items() if client not in before]
        left = [occupant for client, occupant in before.items() if client not in after]
        return joined, left

    def drop(self, gateway: str) -> list[Removed]:
        """Take out everyone of a gateway."""
        return self._drop(gateway, before=None)

    def drop_unconfirmed(self, gateway: str, generation: int) -> list[Removed]:
        """Take out everyone of a gateway whom no report since ``generation`` has confirmed."""
        return self._drop(gateway, before=generation)

    def clear(self) -> None:
        """Take out everyone."""
        self._channels.clear()
        self._gateways.clear()
        self._turned.clear()
        self.size = 0

    def occupants(self, channel: str) -> Iterator[Occupant]:
        """Iterate over everyone in a channel."""
        for occupants in self._channels.get(channel, {}).values():
            yield from occupants.values()

    def stats(self, channel: str) -> Stats:
        """Count the connections and the distinct users in a channel; all anonymous users are one."""
        clients = sum(map(len, self._channels.get(channel, {}).values()))
        return Stats(clients=clients, users=len({occupant.user for occupant in self.occupants(channel)}))

    def _opened(self, channel: str) -> dict[str, dict[str, Occupant]]:
        by_gateway = self._channels.get(channel)
        if by_gateway is None:
            by_gateway = self._channels[channel] = {}
            self._turned.append((channel, True))
        return by_gateway

    def _drop(self, gateway: str, *, before: int | None) -> list[Removed]:
        removed: list[Removed] = []
        for channel in list(self._gateways.get(gateway, ())):
            occupants = self._channels[channel][gateway]
            gone = [who for who in occupants.values() if before is None or who.generation < before]
            for occupant in gone:
                del occupants[occupant.client]
                removed.append((channel, occupant))
            self._tidy(gateway, channel)
        self.size -= len(removed)
        return removed

    def _tidy(self, gateway: str, channel: str) -> None:
        """Forget a gateway in a channel, the channel, and the gateway, where nobody is left."""
        by_gateway = self._channels[channel]
        if by_gateway[gateway]:
            return
        del by_gateway[gateway]
        if not by_gateway:
            del self._channels[channel]
            self._turned.append((channel, False))
        channels = self._gateways[gateway]
        channels.discard(channel)
        if not channels:
            del self._gateways[gateway]
