"""Who follows the channels: a bare client that recovers by hand, a dead one, and the diaries of all."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from clients.deaf import deaf_client
from clients.events import Event, EventLog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from chaos.evidence import Away, Diary, Ended, Entry, Received, Subscribed

GONE: Final = (OSError, TimeoutError, WebSocketException)
_OPEN_SECONDS: Final = 8.0
_SILENT_SECONDS: Final = 10.0
"""Without even a ping the connection counts as dead; gateways under test ping every fourth second."""
_LOOK_SECONDS: Final = 0.25
_PAUSES: Final = (0.1, 0.6)
_DEAF_SECONDS: Final = 8.0
_RESUBSCRIBES: Final = 2500
"""From this unsubscribe code on a client subscribes again."""


class RawFollower:
    """A bare WebSocket that follows channels, comes back whenever it is cut off, and recovers."""

    def __init__(
        self, url: str, token: str, channels: Sequence[str], *, positions: Mapping[str, tuple[str, int]] | None = None
    ) -> None:
        self.log = EventLog()
        self.reading_pause = 0.0
        """Seconds it takes over each message: more than 0 makes it a slow reader."""
        self._url, self._token, self._channels = url, token, channels
        self._positions = dict(positions or {})
        self._asked: dict[int, str] = {}
        self._again: dict[str, float] = {}
        """When to subscribe once more."""
        self._here: set[str] = set()

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            with suppress(*GONE):
                await self._connection()
            self._all_away()
            await asyncio.sleep(random.uniform(*_PAUSES))  # noqa: S311 - so that not all come back at once

    async def _connection(self) -> None:
        async with connect(
            self._url, compression=None, max_size=None, proxy=None, open_timeout=_OPEN_SECONDS,
            ping_interval=None, close_timeout=1,
        ) as socket:  # fmt: skip
            await socket.send(json.dumps({"id": 1, "connect": {"token": self._token}}))
            heard = _now()
            while _now() - heard < _SILENT_SECONDS:
                await self._subscribe_again(socket)
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_SECONDS):
                        frame = await socket.recv()
                    heard = _now()
                    await self._take_frame(socket, str(frame))

    async def _take_frame(self, socket: ClientConnection, frame: str) -> None:
        for line in frame.split("\n"):
            message = json.loads(line)
            if not message:
                await socket.send("{}")
            elif push := message.get("push"):
                self._take_push(push["channel"], push)
            elif message["id"] == 1:
                await self._connected(socket, message)
            else:
                self._answered(self._asked.pop(message["id"]), message)
        await asyncio.sleep(self.reading_pause)

    async def _connected(self, socket: ClientConnection, message: Mapping[str, Any]) -> None:
        if "connect" not in message:
            await socket.close()
            return
        self._again = dict.fromkeys(self._channels, 0.0)
        await self._subscribe_again(socket)

    async def _subscribe_again(self, socket: ClientConnection) -> None:
        for channel in [channel for channel, moment in self._again.items() if moment <= _now()]:
            del self._again[channel]
            number = max(self._asked, default=1) + 1
            self._asked[number] = channel
            command: dict[str, Any] = {"channel": channel}
            if channel in self._positions:
                epoch, offset = self._positions[channel]
                command |= {"recover": True, "epoch": epoch, "offset": offset}
            await socket.send(json.dumps({"id": number, "subscribe": command}))

    def _answered(self, channel: str, message: Mapping[str, Any]) -> None:
        if error := message.get("error"):
            self._note("error", channel, code=error["code"])
            self._again[channel] = _now() + random.uniform(*_PAUSES)  # noqa: S311 - see above
            return
        result = message["subscribe"]
        recovering, recovered = result.get("was_recovering", False), result.get("recovered", False)
        epoch, offset = result.get("epoch", ""), result.get("offset", 0)
        if result.get("recoverable") and not recovered:
            self._positions[channel] = (epoch, offset)
        self._here.add(channel)
        self._note(
            "subscribed", channel, epoch=epoch, offset=offset, was_recovering=recovering, recovered=recovered
        )  # fmt: skip
        for publication in result.get("publications", ()):
            self._take_publication(channel, publication)

    def _take_push(self, channel: str, push: Mapping[str, Any]) -> None:
        if "pub" in push:
            self._take_publication(channel, push["pub"])
        elif "unsubscribe" in push:
            code = push["unsubscribe"]["code"]
            self._here.discard(channel)
            if code < _RESUBSCRIBES:
                self._note("unsubscribed", channel, code=code)
            else:
                self._note("subscribing", channel, code=code)
                self._again[channel] = _now()

    def _take_publication(self, channel: str, publication: Mapping[str, Any]) -> None:
        offset = publication.get("offset", 0)
        if channel in self._positions:
            self._positions[channel] = (self._positions[channel][0], offset)
        self._note("publication", channel, data=publication["data"], offset=offset)

    def _all_away(self) -> None:
        self._asked.clear()
        self._again.clear()
        for channel in self._here:
            self._note("subscribing", channel, code=1)
        self._here.clear()

    def _note(self, name: str, channel: str, **fields: Any) -> None:
        self.log.add(Event(name, channel, fields))


async def follow_deafly(url: str, token: str, channel: str) -> None:
    """Subscribe over and over, and never read what comes, until cancelled."""
    while True:
        with suppress(OSError, TimeoutError), await deaf_client(url, token, channel):
            await asyncio.sleep(_DEAF_SECONDS)
        await asyncio.sleep(random.uniform(*_PAUSES))  # noqa: S311 - see above


def diary(
    follower: str,
    channel: str,
    log: EventLog,
    *,
    first: Sequence[Entry] = (),
    to_the_end: bool = True,
    disturbed: Sequence[tuple[float, float]] = (),
) -> Diary:
    """Return what a log says of one channel. ``first``: what was before it."""
    entries = [
        _ENTRIES[event.name](at, event)
        for event, at in zip(log.events, log.moments, strict=True)
        if event.channel == channel and event.name in _ENTRIES
    ]
    return Diary(follower, channel, [*first, *entries], to_the_end, disturbed)


def _received(at: float, event: Event) -> Entry:
    return Received(at, event["offset"] or 0, event["data"]["id"], event["data"]["text"])


def _subscribed(at: float, event: Event) -> Entry:
    recovering, recovered = bool(event["was_recovering"]), bool(event["recovered"])
    return Subscribed(at, event["epoch"] or "", event["offset"] or 0, recovering, recovered)


_ENTRIES: Final[Mapping[str, Callable[[float, Event], Entry]]] = {
    "subscribed": _subscribed,
    "publication": _received,
    "subscribing": lambda at, event: Away(at, event["code"]),
    "unsubscribed": lambda at, event: Ended(at, event["code"]),
}


def _now() -> float:
    return asyncio.get_running_loop().time()
