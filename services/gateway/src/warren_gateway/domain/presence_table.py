"""Who of this gateway's connections is in which channel: the truth that presence indexes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from warren_shared.contracts.presence import Member


@dataclass(frozen=True, slots=True)
class Room:
    """Everyone in one channel, as of one moment."""

    channel: str
    members: tuple[Member, ...]
    announce: bool = False


class PresenceTable:
    """Members by channel and client."""

    def __init__(self) -> None:
        self._members: dict[str, dict[str, Member]] = {}
        self._announced: set[str] = set()
        self.size = 0

    def join(self, channel: str, member: Member, *, announce: bool) -> None:
        """Enter a member; ``announce`` is the channel's from now on."""
        members = self._members.setdefault(channel, {})
        self.size += member.client not in members
        members[member.client] = member
        if announce:
            self._announced.add(channel)
        else:
            self._announced.discard(channel)

    def leave(self, channel: str, client: str) -> Member | None:
        """Take a member out; returns None if it was not in."""
        members = self._members.get(channel, {})
        member = members.pop(client, None)
        if member is not None:
            self.size -= 1
            if not members:
                del self._members[channel]
                self._announced.discard(channel)
        return member

    def room(self, channel: str) -> Room:
        """Return who is in a channel."""
        members = tuple(self._members.get(channel, {}).values())
        return Room(channel, members, channel in self._announced)

    def rooms(self, channels: Iterable[str] | None = None) -> list[Room]:
        """Return the rooms of some channels, or all that are not empty."""
        return [self.room(channel) for channel in (self._members if channels is None else channels)]
