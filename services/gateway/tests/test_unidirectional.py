"""Clients that send one bare connect request and are told bare pushes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from warren_gateway.adapters.bare_pushes import bare, connect_command
from warren_gateway.domain.commands import ConnectCommand
from warren_gateway.domain.encoding import UndecodableError
from warren_gateway.domain.events import CloseRequested
from warren_gateway.domain.json_encoding import JSON
from warren_shared.contracts.auth import Admitted, Refused
from warren_shared.contracts.codes import Disconnects

from .socket_client import handshake, masked, raw_client, until
from .socket_fakes import EVERYTHING, RunningGateway, running_gateway

Json = dict[str, Any]
Read = Callable[[], Awaitable[Json | None]]
"""Returns the next push, None at the end."""
KINDS = pytest.mark.parametrize("kind", ["uni_websocket", "uni_http_stream", "uni_sse"])


@asynccontextmanager
async def listening(gateway: RunningGateway, kind: str, request: Json, query: str = "") -> AsyncIterator[Read]:
    """A client of a kind that has sent its connect request."""
    if kind == "uni_websocket":
        async with connect(gateway.url.replace("websocket", kind) + query) as socket:
            await socket.send(json.dumps(request, indent=1))
            pushes = aiter(socket)
            yield lambda: _next(pushes)
        return
    async with aiohttp.ClientSession() as http:
        url, text = f"{gateway.http}/connection/{kind}", json.dumps(request, indent=1)
        asked = http.get(url, params={"cf_connect": text}) if kind == "uni_sse" else http.post(url, data=text)
        async with asked as response:
            assert response.status == 200
            pushes = _lines(response)
            yield lambda: _next(pushes)


async def _lines(response: aiohttp.ClientResponse) -> AsyncIterator[str]:
    async for line in response.content:
        if line.strip():
            yield line.decode().removeprefix("data: ")


async def _next(pushes: AsyncIterator[Any]) -> Json | None:
    async with asyncio.timeout(5):
        try:
            text = await anext(pushes)
        except (StopAsyncIteration, ConnectionClosed):
            return None
    return dict(json.loads(text))


@KINDS
class TestPushes:
    async def test_the_connect_and_publications_are_told_without_a_wrapper(self, kind: str) -> None:
        async with running_gateway() as gateway:
            gateway.services.admitted = Admitted(user="alice", grants=EVERYTHING, channels=("live:a",))
            async with listening(gateway, kind, {"token": "t", "name": "n"}) as read:
                told = (await read() or {})["connect"]
                assert gateway.services.connects[0].token == "t"
                assert (told["subs"], told["pong"]) == ({"live:a": {}}, False)
                gateway.channels.publish("live:a", b'{"n":1}', b'{"n":2}')
                for number in (1, 2):
                    assert await read() == {"channel": "live:a", "pub": {"data": {"n": number}}}

    async def test_server_side_subscriptions_recover_from_where_the_client_says(self, kind: str) -> None:
        async with running_gateway() as gateway:
            gateway.services.admitted = Admitted(user="alice", channels=("chat:a",))
            subs = {"chat:a": {"recover": True, "offset": 7, "epoch": "e"}}
            async with listening(gateway, kind, {"subs": subs}) as read:
                assert "chat:a" in (await read() or {})["connect"]["subs"]
            (request,) = gateway.channels.requests
            assert request.recover_from is not None
            assert (request.recover_from.offset, request.recover_from.epoch) == (7, "e")

    async def test_pings_need_no_answer(self, kind: str) -> None:
        times = {"ping_interval": 0.3, "pong_timeout": 0.1}
        async with running_gateway(rules=times) as gateway, listening(gateway, kind, {}) as read:
            await read()
            for _ in range(3):
                assert await read() == {}

    async def test_the_end_is_a_push(self, kind: str) -> None:
        async with running_gateway() as gateway, listening(gateway, kind, {}) as read:
            await read()
            away = asyncio.create_task(gateway.connections.send_away(0, 5))
            assert await read() == {"disconnect": {"code": 3001, "reason": "shutdown"}}
            assert await read() is None
            await away

    @pytest.mark.parametrize(
        ("error", "code"), [(109, 3005), (110, 3005), (111, 3013), (103, 3507), (100, 3004), (500, 3004)]
    )
    async def test_who_may_not_connect_is_told_by_the_end_alone(self, kind: str, error: int, code: int) -> None:
        async with running_gateway() as gateway:
            gateway.services.admitted = Refused(code=error, reason="no", disconnect=False)
            async with listening(gateway, kind, {}) as read:
                assert (await read() or {})["disconnect"]["code"] == code
                assert await read() is None

    async def test_nobody_can_send_commands_in_its_name(self, kind: str) -> None:
        async with running_gateway() as gateway, listening(gateway, kind, {}) as read:
            told = (await read() or {})["connect"]
            assert gateway.emulation.sessions.find(told["session"]) is None


async def test_what_a_websocket_sends_after_its_connect_says_nothing() -> None:
    async with running_gateway() as gateway, connect(gateway.url.replace("websocket", "uni_websocket")) as socket:
        await socket.send("{}")
        await socket.recv()
        await socket.send('{"id":2,"publish":{"channel":"live:a","data":1}}')
        await socket.send("garbage")
        pong = await socket.ping()
        await asyncio.wait_for(pong, 5)
        assert (gateway.services.published, len(gateway.connections)) == ([], 1)


async def test_websockets_own_pings_are_answered_or_the_client_is_given_up() -> None:
    path, query = "/connection/uni_websocket", "?cf_ws_frame_ping_pong=true"
    silent = handshake().replace(b"/connection/websocket", (path + query).encode()) + masked("{}")
    times = {"ping_interval": 0.4, "pong_timeout": 0.3}
    async with running_gateway(rules=times) as gateway, listening(gateway, path[12:], {}, query) as read:
        assert "ping" not in (await read() or {})["connect"]
        for number in (1, 2):  # who came later has as long
            async with raw_client(gateway, silent):
                await until(lambda: gateway.counters.disconnects[3012] == number)  # noqa: B023 - awaited within the turn
        for connection in gateway.connections.find("alice", None, None):
            connection.feed(CloseRequested(Disconnects.FORCE_DISCONNECT))
        assert (await read() or {})["disconnect"]["code"] == 3503


@KINDS
@pytest.mark.parametrize("request_", ["[]", "1", "{", '{"a":1}{"b":2}', '{},"subscribe":{"channel":"live:a"}'])
async def test_what_is_no_connect_request_ends_with_3501(kind: str, request_: str) -> None:
    async with running_gateway() as gateway:
        if kind == "uni_websocket":
            async with connect(gateway.url.replace("websocket", kind)) as socket:
                await socket.send(request_)
                assert json.loads(await socket.recv())["disconnect"]["code"] == 3501
        else:
            async with aiohttp.ClientSession() as http:
                response = await http.post(f"{gateway.http}/connection/{kind}", data=request_)
                assert '"code":3501' in await response.text()
        await until(lambda: not gateway.connections)


@given(st.binary() | st.text().map(str.encode))
def test_whatever_comes_is_one_connect_or_none(sent: bytes) -> None:
    try:
        requests = [command.request for command in JSON.decode(connect_command(sent))]
    except UndecodableError:
        return
    assert [type(request) for request in requests] == [ConnectCommand]


def test_a_ping_and_what_has_no_wrapper_stays() -> None:
    assert bare([b"{}", b'{"push":{"channel":"a"}}', b'{"id":1,"connect":{}}']) == [
        b"{}",
        b'{"channel":"a"}',
        b'{"connect":{}}',
    ]
