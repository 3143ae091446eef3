"""What happened to a client, in order, and waiting for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

DEADLINE = 10.0


@dataclass(frozen=True, slots=True)
class Event:
    """One event of an SDK, under the JS SDK's names."""

    name: str
    channel: str | None
    fields: Mapping[str, Any]

    def __getitem__(self, field: str) -> Any:
        """Return a field, None if the event has none of that name."""
        return self.fields.get(field)


Matches = Callable[[Event], bool]


class EventLog:
    """The events of one client."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.moments: list[float] = []
        """When each event happened, in seconds of the event loop's clock."""
        self._happened = asyncio.Event()

    def add(self, event: Event) -> None:
        """Note an event."""
        self.events.append(event)
        self.moments.append(asyncio.get_running_loop().time())
        self._happened.set()

    def all(self, name: str, channel: str | None = None, *, since: int = 0) -> list[Event]:
        """Return the events of a name, and of a channel if one is given."""
        return [
            event
            for event in self.events[since:]
            if event.name == name and (channel is None or event.channel == channel)
        ]

    def data(self, channel: str) -> list[Any]:
        """Return the payloads of a channel's publications."""
        return [event["data"] for event in self.all("publication", channel)]

    def mark(self) -> int:
        """Return a place in the log, to look for what comes after it."""
        return len(self.events)

    async def until(
        self,
        name: str,
        channel: str | None = None,
        *,
        count: int = 1,
        since: int = 0,
        matches: Matches = lambda _: True,
        deadline: float = DEADLINE,
    ) -> list[Event]:
        """Wait until ``count`` such events have happened and return them; fail the test at the deadline."""
        try:
            async with asyncio.timeout(deadline):
                while len(found := [each for each in self.all(name, channel, since=since) if matches(each)]) < count:
                    self._happened.clear()
                    await self._happened.wait()
        except TimeoutError:
            have = len([each for each in self.all(name, channel, since=since) if matches(each)])
            last = [(event.name, event.channel, dict(event.fields)) for event in self.events[-12:]]
            message = f"{have} of {count} {name} on {channel} within {deadline} s; the last events: {last}"
            raise AssertionError(message) from None
        return found

    async def one(self, name: str, channel: str | None = None, **options: Any) -> Event:
        """Wait for one such event and return it."""
        return (await self.until(name, channel, **options))[0]
