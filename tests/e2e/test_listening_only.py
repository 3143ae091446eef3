"""Unidirectional clients of the real suite: curl, and a bare WebSocket."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from clients.backend import Backend
from clients.curl import curl
from clients.orders import order
from staging.suite import Suite
from websockets.asyncio.client import connect

pytestmark = [pytest.mark.e2e, pytest.mark.broker]


def endpoint(suite: Suite, kind: str) -> str:
    """Return where clients of a kind connect to."""
    scheme = "ws" if kind == "uni_websocket" else "http"
    return urlsplit(suite.gateway_urls[0])._replace(scheme=scheme, path=f"/connection/{kind}").geturl()


def event(line: bytes) -> dict[str, Any]:
    """Return the push that a line holds."""
    return dict(json.loads(line.removeprefix(b"data: ")))


async def test_a_bare_websocket_and_curl_are_told_what_is_published_and_recover(suite: Suite, unique: str) -> None:
    channel = f"chat:{unique}"
    token = suite.token("alice", channels=[channel])
    async with (
        Backend.connected(suite.backend_url) as backend,
        curl(endpoint(suite, "uni_http_stream"), json.dumps({"token": token})) as lines,
        connect(endpoint(suite, "uni_websocket")) as socket,
    ):
        await socket.send(json.dumps({"token": token}))
        told = [event(await lines.readline()), json.loads(await socket.recv())]
        assert all(channel in each["connect"]["subs"] for each in told)
        await backend.publish(channel, {"n": 1})
        expected = {"channel": channel, "pub": {"data": {"n": 1}, "offset": 1}}
        for read in (lines.readline, socket.recv):
            push = await publication(read)
            push["pub"].pop("time")
            assert push == expected
        await backend.publish(channel, {"n": 2})

    epoch = told[0]["connect"]["subs"][channel]["epoch"]
    resume = {"token": token, "subs": {channel: {"recover": True, "epoch": epoch, "offset": 1}}}
    async with curl(endpoint(suite, "uni_http_stream"), json.dumps(resume)) as lines:
        recovered = event(await lines.readline())["connect"]["subs"][channel]
    assert recovered["recovered"]
    assert [each["data"] for each in recovered["publications"]] == [{"n": 2}]


async def test_a_listener_to_events_is_subscribed_and_sent_away_by_a_backend(suite: Suite, unique: str) -> None:
    user, channel = f"{unique}-carol", f"live:{unique}"
    async with curl(endpoint(suite, "uni_sse"), json.dumps({"token": suite.token(user)})) as lines:
        assert await lines.readline() == b"\r\n"
        assert "connect" in event(await lines.readline())
        await order(suite.backend_url, "subscribe", user=user, channel=channel)
        assert (await after_a_blank(lines.readline))["channel"] == channel
        async with Backend.connected(suite.backend_url) as backend:
            await backend.publish(channel, "hello")
        assert (await after_a_blank(lines.readline))["pub"]["data"] == "hello"
        await order(suite.backend_url, "disconnect", user=user)
        assert (await after_a_blank(lines.readline))["disconnect"]["code"] == 3503
        assert await lines.read() == b"\n"


async def publication(read: Callable[[], Awaitable[Any]]) -> dict[str, Any]:
    """Return the next publication; pings and joins are passed over."""
    while "pub" not in (push := dict(json.loads(await read()))):
        pass
    return push


async def after_a_blank(readline: Any) -> dict[str, Any]:
    """Return the next event."""
    assert await readline() == b"\n"
    return event(await readline())
