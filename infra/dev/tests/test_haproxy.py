"""HAProxy before gateways and the API."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from warren_dev.haproxy import Behind, configuration, find_haproxy, haproxy_program
from warren_dev.ledger import Ledger
from warren_dev.ports import LOOPBACK, any_free
from warren_dev.supervisor import Supervisor


def test_every_gateway_is_behind_the_port() -> None:
    text = configuration(8090, Behind((8000, 8001), 8070))
    assert "bind 127.0.0.1:8090\n" in text
    assert "server gateway-1 127.0.0.1:8000\n  server gateway-2 127.0.0.1:8001\n" in text
    assert "server api 127.0.0.1:8070\n" in text


async def listen(name: str, port: int) -> web.AppRunner:
    """Run a server that answers with its name, or over a WebSocket with what it is sent."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if "Upgrade" not in request.headers:
            return web.Response(text=f"{name} {request.path}")
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            await socket.send_str(message.data)
        return socket

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, LOOPBACK, port).start()
    return runner


@pytest.mark.skipif(find_haproxy() is None, reason="HAProxy is not installed (Debian: haproxy)")
async def test_requests_find_the_api_and_the_gateways_through_one_port(tmp_path: Path) -> None:
    executable = find_haproxy()
    assert executable is not None
    port, gateway_port, api_port = any_free(), any_free(), any_free()
    runners = [await listen("gateway", gateway_port), await listen("api", api_port)]
    lines: list[str] = []
    behind = Behind((gateway_port,), api_port)
    try:
        async with Supervisor(lambda _, line: lines.append(line), Ledger(tmp_path / "ledger.json")) as supervisor:
            supervisor.add(haproxy_program(executable, port, behind, tmp_path / "haproxy", {}))
            await supervisor.start("haproxy")
            await supervisor.wait_ready(deadline=20.0)
            url = f"http://{LOOPBACK}:{port}"
            async with aiohttp.ClientSession() as http, asyncio.timeout(20):
                for path, name in {"/api/info": "api", "/openapi.json": "api", "/connection/sse": "gateway"}.items():
                    async with http.post(url + path) as answer:
                        assert await answer.text() == f"{name} {path}"
                async with http.ws_connect(f"{url}/connection/websocket") as socket:
                    await socket.send_str("hello")
                    assert await socket.receive_str() == "hello"
    finally:
        for runner in runners:
            await runner.cleanup()
    assert not [line for line in lines if "ALERT" in line or "WARNING" in line], lines
