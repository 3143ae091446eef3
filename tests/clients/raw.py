"""A bare WebSocket that speaks the client protocol by hand, or breaks it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from clients.events import DEADLINE

_FIRST_ID = 1000
"""Commands of ``call`` are numbered from here, those in frames of a test's own below."""


class RawClient:
    """One connection; it answers pings unless told not to."""

    def __init__(self, socket: ClientConnection, *, pongs: bool) -> None:
        self.frames: list[str] = []
        self.messages: list[dict[str, Any]] = []
        """Replies and pushes, in order, without pings."""
        self.pings = 0
        self._socket, self._pongs = socket, pongs
        self._ids = _FIRST_ID
        self._changed = asyncio.Event()

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, *, pongs: bool = True, **options: Any) -> AsyncIterator[RawClient]:
        """Open a WebSocket; nothing is sent."""
        async with connect(url, compression=None, max_size=None, proxy=None, **options) as socket:
            client = cls(socket, pongs=pongs)
            async with asyncio.TaskGroup() as group:
                reader = group.create_task(client._read())
                try:
                    yield client
                finally:
                    reader.cancel()

    async def send(self, frame: str | bytes) -> None:
        """Send a frame as it is."""
        await self._socket.send(frame)

    async def call(self, **command: Any) -> dict[str, Any]:
        """Send one command and return its reply."""
        self._ids += 1
        number = self._ids
        await self.send(json.dumps({"id": number, **command}))
        return await self.reply(number)

    async def reply(self, number: int) -> dict[str, Any]:
        """Wait for the reply to a command."""
        return await self.message(lambda message: message.get("id") == number)

    async def error(self, **command: Any) -> int:
        """Send one command and return the code of the error it is answered with."""
        reply = await self.call(**command)
        assert "error" in reply, reply
        return int(reply["error"]["code"])

    async def connect(self, token: str) -> dict[str, Any]:
        """Send a connect command and return its result."""
        reply = await self.call(connect={"token": token})
        assert "connect" in reply, reply
        result: dict[str, Any] = reply["connect"]
        return result

    async def subscribe(self, channel: str, **fields: Any) -> dict[str, Any]:
        """Subscribe and return the result."""
        reply = await self.call(subscribe={"channel": channel, **fields})
        assert "subscribe" in reply, reply
        result: dict[str, Any] = reply["subscribe"]
        return result

    async def message(self, matches: Callable[[dict[str, Any]], bool], *, deadline: float = DEADLINE) -> dict[str, Any]:
        """Wait for a message; fail the test at the deadline."""
        return (await self.several(matches, 1, deadline=deadline))[0]

    async def several(
        self, matches: Callable[[dict[str, Any]], bool], count: int, *, deadline: float = DEADLINE
    ) -> list[dict[str, Any]]:
        """Wait for so many messages."""
        try:
            async with asyncio.timeout(deadline):
                while len(found := [message for message in self.messages if matches(message)]) < count:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            closed = f"closed with {self._socket.close_code}" if self._socket.close_code else "open"
            message = f"no such message within {deadline} s ({closed}); the last: {self.messages[-5:]}"
            raise AssertionError(message) from None
        return found

    async def publications(self, channel: str, count: int = 1, *, deadline: float = DEADLINE) -> list[Any]:
        """Wait for so many publications on a channel and return their payloads."""

        def matches(message: dict[str, Any]) -> bool:
            push = message.get("push", {})
            return push.get("channel") == channel and "pub" in push

        return [each["push"]["pub"]["data"] for each in await self.several(matches, count, deadline=deadline)]

    async def closed(self, *, deadline: float = DEADLINE) -> tuple[int, str]:
        """Wait until the server closes and return its code and reason."""
        try:
            async with asyncio.timeout(deadline):
                await self._socket.wait_closed()
        except TimeoutError:
            message = f"not closed within {deadline} s; the last messages: {self.messages[-5:]}"
            raise AssertionError(message) from None
        return self._socket.close_code or 0, self._socket.close_reason or ""

    @property
    def is_open(self) -> bool:
        """Whether neither side has closed."""
        return self._socket.close_code is None

    async def _read(self) -> None:
        try:
            async for frame in self._socket:
                text = frame if isinstance(frame, str) else frame.decode()
                self.frames.append(text)
                for line in text.split("\n"):
                    await self._take(line)
                self._changed.set()
        except ConnectionClosed:
            self._changed.set()

    async def _take(self, line: str) -> None:
        message = json.loads(line) if line else None
        if message:
            self.messages.append(message)
        elif message is not None:
            self.pings += 1
            if self._pongs:
                await self._socket.send("{}")
