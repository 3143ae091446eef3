"""A client that has HTTP alone: one response that does not end, and requests with commands."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from .socket_client import CONNECT, lines
from .socket_fakes import RunningGateway

Json = dict[str, Any]


class Stream:
    """One connection; what it says is read line by line."""

    def __init__(self, gateway: RunningGateway, http: aiohttp.ClientSession, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.connected: Json = {}
        self._gateway, self._http = gateway, http

    async def message(self) -> Json:
        """Return the next message, as lines or as events."""
        async with asyncio.timeout(5):
            while True:
                line = await self.response.content.readline()
                if not line:
                    raise EOFError
                text = line.decode().strip().removeprefix("data: ")
                if text:
                    return dict(json.loads(text))

    async def ended(self) -> Json:
        """Read to the end, and return the last message."""
        last: Json = {}
        try:
            while True:
                last = await self.message()
        except EOFError:
            return last

    async def send(self, *commands: Json, to: RunningGateway | None = None, **changes: Any) -> int:
        """Send commands to a gateway, its own if none is named; return the answer's status."""
        body = {"session": self.connected["session"], "node": self.connected["node"], "data": lines(*commands)}
        url = f"{(to or self._gateway).http}/emulation"
        async with self._http.post(url, json=body | changes) as response:
            return response.status


@asynccontextmanager
async def stream(
    gateway: RunningGateway, *more: Json, sse: bool = False, let_in: bool = True, **options: Any
) -> AsyncIterator[Stream]:
    """A client that has its connect reply, unless it is not to be let in; ``more`` is sent with its connect."""
    path = "/connection/sse" if sse else "/connection/http_stream"
    async with aiohttp.ClientSession() as http:
        commands = lines(CONNECT, *more)
        asked = (
            http.get(gateway.http + path, params={"cf_connect": commands}, **options)
            if sse
            else http.post(gateway.http + path, data=commands, **options)
        )
        async with asked as response:
            assert response.status == 200, await response.text()
            opened = Stream(gateway, http, response)
            if let_in:
                opened.connected = (await opened.message())["connect"]
            yield opened
