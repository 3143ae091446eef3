"""How long a gateway process takes to end when nobody around it answers."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

START_SECONDS = 30.0
CLIENTS_SECONDS = 1.0
OVER_ALL_SECONDS = CLIENTS_SECONDS + 15.0
"""The bound of docs/platform.md."""
UPGRADE = (
    b"GET /connection/websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
)


@asynccontextmanager
async def standing_still() -> AsyncIterator[int]:
    """A server that accepts connections and says nothing; its port."""
    over = asyncio.Event()

    async def say_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as server:
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            over.set()


async def logged(stream: asyncio.StreamReader, event: str) -> dict[str, Any]:
    while line := await stream.readline():
        record: dict[str, Any] = json.loads(line)
        if record["event"] == event:
            return record
    raise AssertionError(event)


@pytest.mark.timeout(120)
async def test_a_gateway_ends_in_time_though_nobody_answers_it(tmp_path: Path) -> None:
    file = tmp_path / "namespaces.yml"
    file.write_text("namespaces: [{name: chat}]")
    async with standing_still() as port:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("WARREN_")} | {
            "WARREN_NAMESPACES_FILE": str(file),
            "WARREN_AMQP_URL": f"amqp://127.0.0.1:{port}/warren",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
            "WARREN_GATEWAY_PORT": "0",
            "WARREN_GATEWAY_OPS_PORT": "0",
            "WARREN_GATEWAY_SHUTDOWN_WINDOW": "0",
            "WARREN_GATEWAY_SHUTDOWN_TIMEOUT": str(CLIENTS_SECONDS),
            "WARREN_GATEWAY_CLOSE_TIMEOUT": "100",
            "WARREN_GATEWAY_STALE_TIMEOUT": "100",
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "warren_gateway", env=environment, stderr=asyncio.subprocess.PIPE
        )
        assert process.stderr is not None
        async with asyncio.timeout(START_SECONDS):
            awaited = await logged(process.stderr, "clients_awaited")
            reader, writer = await asyncio.open_connection("127.0.0.1", awaited["port"])
            writer.write(UPGRADE)
            assert (await reader.readline()).startswith(b"HTTP/1.1 101 ")

        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(OVER_ALL_SECONDS):
            assert (await logged(process.stderr, "clients_cut"))["connections"] == 1
            await logged(process.stderr, "service_stopped")
            assert await process.wait() == 0
        writer.close()
