"""A link that is slowed down loses nothing and is fast again afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from proxy import Proxy

SIZE = 20_000


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(SIZE):
        writer.write(chunk)
        await writer.drain()
    writer.close()
    await writer.wait_closed()


@asynccontextmanager
async def echoing() -> AsyncIterator[Proxy]:
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server, Proxy.to(*server.sockets[0].getsockname()[:2]) as proxy:
        yield proxy


async def seconds_for(proxy: Proxy, size: int) -> float:
    """Send so many bytes there and back, and return how long that took."""
    loop = asyncio.get_running_loop()
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    sent, began = bytes(index % 251 for index in range(size)), loop.time()
    writer.write(sent)
    async with asyncio.timeout(10):
        assert await reader.readexactly(size) == sent
    took = loop.time() - began
    writer.write_eof()
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
    return took


@pytest.mark.parametrize("slow", ["delay", "throttle"])
async def test_a_slow_link_takes_its_time_and_loses_nothing(slow: str) -> None:
    async with echoing() as proxy:
        if slow == "delay":
            proxy.delay(0.2)
        else:
            proxy.throttle(2 * SIZE)
        assert await seconds_for(proxy, SIZE) >= 0.4

        proxy.delay(0)
        proxy.throttle(None)
        assert await seconds_for(proxy, SIZE) < 0.4
