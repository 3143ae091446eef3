"""A client of the gateway's port: with the websockets library, or with bare bytes."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode

from .socket_fakes import RunningGateway

Json = dict[str, Any]
CONNECT: Json = {"id": 1, "connect": {}}


def lines(*messages: Json) -> str:
    return "\n".join(map(json.dumps, messages))


async def frame_of(socket: ClientConnection) -> list[Json]:
    """Return the messages of the next frame."""
    async with asyncio.timeout(5):
        return [json.loads(line) for line in (await socket.recv()).splitlines()]


async def messages_of(socket: ClientConnection, count: int) -> list[Json]:
    """Return so many messages, however they are framed."""
    messages: list[Json] = []
    while len(messages) < count:
        messages += await frame_of(socket)
    return messages


async def close_code(socket: ClientConnection) -> int | None:
    """Read until the connection ends and return the code it ended with."""
    async with asyncio.timeout(10):
        try:
            while True:
                await socket.recv()
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else None


@asynccontextmanager
async def let_in(gateway: RunningGateway, *more: Json) -> AsyncIterator[ClientConnection]:
    """A client that has its connect reply, and has sent ``more`` with its connect."""
    async with connect(gateway.url) as socket:
        await socket.send(lines(CONNECT, *more))
        assert "connect" in (await frame_of(socket))[0]
        yield socket


@asynccontextmanager
async def raw_client(gateway: RunningGateway, sent: bytes) -> AsyncIterator[asyncio.StreamReader]:
    """A client that sends these bytes and has its answer read as bytes, with a small buffer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.server.port, limit=1024)
    try:
        writer.write(sent)
        async with asyncio.timeout(5):
            yield reader
    finally:
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()


async def until(condition: Callable[[], bool]) -> None:
    """Give the gateway time until something holds."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - the gateway has no event for everything a test waits for
            await asyncio.sleep(0.005)


def handshake(**changes: str | None) -> bytes:
    headers: dict[str, str | None] = {
        "Host": "localhost",
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
    }
    headers |= {name.replace("_", "-"): value for name, value in changes.items()}
    return "\r\n".join(
        [
            "GET /connection/websocket HTTP/1.1",
            *(f"{name}: {value}" for name, value in headers.items() if value is not None),
            "\r\n",
        ]
    ).encode()


def masked(text: str) -> bytes:
    """Return a client's frame."""
    return Frame(Opcode.TEXT, text.encode()).serialize(mask=True)
