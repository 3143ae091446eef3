"""What several of the console's tests build on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

Client = TestClient[web.Request, web.Application]
Serve = Callable[[web.Application], Awaitable[Client]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Start applications on free ports, each with a client; stop them after the test."""
    async with AsyncExitStack() as stack:

        async def start(app: web.Application) -> Client:
            return await stack.enter_async_context(TestClient(TestServer(app)))

        yield start


@pytest.fixture
def sdk(tmp_path: Path) -> Path:
    """A file that stands for the SDK."""
    path = tmp_path / "centrifuge.js"
    path.write_text("globalThis.Centrifuge = class {};\n")
    return path
