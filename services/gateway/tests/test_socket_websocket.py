"""The gateway's port on a loopback socket: the handshake, and WebSocket itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from websockets.asyncio.client import connect
from websockets.frames import Frame, Opcode

from .socket_client import CONNECT, frame_of, handshake, let_in, lines, masked, raw_client, until
from .socket_fakes import RunningGateway, loopback, running_gateway
from .socket_link import links, text


@pytest.fixture
async def gateway() -> AsyncIterator[RunningGateway]:
    async with running_gateway() as gateway:
        yield gateway


class TestWebSocket:
    async def test_ping_of_the_client_is_answered(self, gateway: RunningGateway) -> None:
        async with let_in(gateway) as socket, asyncio.timeout(5):
            await (await socket.ping(b"payload"))

    async def test_close_of_the_client_is_answered_and_ends_its_subscriptions(self, gateway: RunningGateway) -> None:
        async with let_in(gateway, {"id": 2, "subscribe": {"channel": "live:a"}}) as socket:
            await frame_of(socket)
            await socket.close(4000, "bye")
            assert socket.close_code == 4000
        await until(lambda: not gateway.connections and not gateway.channels.subscribers["live:a"])

    async def test_client_that_vanishes_ends_its_subscriptions(self, gateway: RunningGateway) -> None:
        async with let_in(gateway, {"id": 2, "subscribe": {"channel": "live:a"}}) as socket:
            await frame_of(socket)
            socket.transport.abort()
            await until(lambda: not gateway.connections and not gateway.channels.subscribers["live:a"])

    @pytest.mark.parametrize(
        ("offered", "chosen"),
        [
            (None, None),
            (["centrifuge-json"], "centrifuge-json"),
            (["x", "centrifuge-json"], "centrifuge-json"),
            (["x"], None),
        ],
    )
    async def test_subprotocol(self, gateway: RunningGateway, offered: Any, chosen: str | None) -> None:
        async with connect(gateway.url, subprotocols=offered) as socket:
            assert socket.subprotocol == chosen

    async def test_frame_sent_together_with_the_handshake_is_not_lost(self, gateway: RunningGateway) -> None:
        async with raw_client(gateway, handshake() + masked(lines(CONNECT))) as reader:
            assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
            assert b'"connect":{"client"' in await reader.readuntil(b"}}")

    async def test_unmasked_frame_is_a_protocol_error(self, gateway: RunningGateway) -> None:
        async with raw_client(gateway, handshake() + Frame(Opcode.TEXT, b"{}").serialize(mask=False)) as reader:
            await reader.readuntil(b"\r\n\r\n")
            assert (await reader.read())[2:4] == (1002).to_bytes(2, "big")

    async def test_idle_connection_holds_no_task(self, gateway: RunningGateway) -> None:
        tasks = len(asyncio.all_tasks())
        async with raw_client(gateway, handshake() + masked(lines(CONNECT))) as reader:
            await reader.readuntil(b'"node"')
            assert len(asyncio.all_tasks()) == tasks
            assert len(gateway.connections) == 1


class TestPingsOfWebSocketsOwn:
    async def test_are_not_announced_and_keep_a_client_that_answers_them(self) -> None:
        async with links() as gateway:
            link, transport = await gateway.let_in(frame_pings=True)
            assert not {"ping", "pong"} & transport.messages[0]["connect"].keys()
            (connection,) = gateway.connections._open
            for number in range(1, 4):
                gateway.clock.time += 25
                connection.wake()
                assert len(transport.frames(Opcode.PING)) == number
                link.data_received(Frame(Opcode.PONG, b"").serialize(mask=True))
            assert len(transport.messages) == 1, "nor is it pinged in the client protocol"
            gateway.clock.time += 25
            connection.wake()
            gateway.clock.time += 8
            connection.wake()
            assert transport.close_code == 3012

    async def test_a_pong_nobody_waits_for_is_no_mistake(self) -> None:
        async with links() as gateway:
            link, transport = await gateway.let_in(frame_pings=True)
            link.data_received(Frame(Opcode.PONG, b"x").serialize(mask=True) * 2)
            assert transport.close_code is None

    async def test_a_pong_of_websockets_does_not_stand_for_one_of_the_client_protocol(self) -> None:
        async with links() as gateway:
            link, transport = await gateway.let_in()
            (connection,) = gateway.connections._open
            gateway.clock.time += 25
            connection.wake()
            assert transport.messages[-1] == {}
            link.data_received(Frame(Opcode.PONG, b"").serialize(mask=True))
            gateway.clock.time += 8
            connection.wake()
            assert transport.close_code == 3012


class TestClosing:
    @pytest.mark.parametrize("code", [1000, 1001, 1003, 1011, 1014, 3000, 3500, 4999])
    async def test_a_code_that_may_be_sent_is_echoed(self, code: int) -> None:
        assert await answer_to_close(code.to_bytes(2, "big") + b"bye") == code

    @pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535])
    async def test_one_that_may_not_is_a_protocol_error(self, code: int) -> None:
        assert await answer_to_close(code.to_bytes(2, "big")) == 1002

    @pytest.mark.parametrize(("payload", "code"), [(b"", None), (b"\x03", 1002), (b"\x03\xe8\xff", 1007)])
    async def test_no_code_half_a_code_and_a_broken_reason(self, payload: bytes, code: int | None) -> None:
        assert await answer_to_close(payload) == code

    async def test_whatever_answers_our_own_close_ends_the_connection(self) -> None:
        async with links() as gateway:
            link, transport = await gateway.let_in()
            link.data_received(text("garbage") + Frame(Opcode.CLOSE, (1005).to_bytes(2)).serialize(mask=True))
            assert (transport.close_code, transport.closing) == (3501, True)


async def answer_to_close(payload: bytes) -> int | None:
    """Return the code a client's close is answered with."""
    async with links() as gateway:
        link, transport = await gateway.let_in()
        link.data_received(b"\x88" + bytes([0x80 | len(payload)]) + bytes(4) + payload)
        (answer,) = transport.frames(Opcode.CLOSE)
        return int.from_bytes(answer[:2], "big") if answer else None


class TestHandshake:
    @pytest.mark.parametrize(
        ("changes", "status"),
        [
            ({}, 101),
            ({"Connection": "keep-alive, Upgrade"}, 101),
            ({"Upgrade": None}, 426),
            ({"Connection": "close"}, 426),
            ({"Sec-WebSocket-Version": "8"}, 426),
            ({"Sec-WebSocket-Version": None}, 426),
            ({"Sec-WebSocket-Key": None}, 400),
            ({"Sec-WebSocket-Key": "c2hvcnQ="}, 400),
            ({"Sec-WebSocket-Key": "ä"}, 400),
            ({"Sec-WebSocket-Protocol": ""}, 101),
            ({"Origin": "http://localhost"}, 101),
            ({"Origin": "http://elsewhere"}, 403),
        ],
    )
    async def test_answer(self, gateway: RunningGateway, changes: dict[str, str | None], status: int) -> None:
        async with raw_client(gateway, handshake(**changes)) as reader:
            assert (await reader.readline()).startswith(f"HTTP/1.1 {status} ".encode())

    async def test_plain_request_is_told_to_upgrade(self, gateway: RunningGateway) -> None:
        async with aiohttp.ClientSession() as session, session.get(gateway.url.replace("ws", "http", 1)) as response:
            assert response.status == 426

    async def test_health(self, gateway: RunningGateway) -> None:
        url = f"http://127.0.0.1:{gateway.server.port}/health"
        async with aiohttp.ClientSession() as session:
            async with session.get(url) as response:
                assert (response.status, await response.json()) == (200, {})
            gateway.server.open = False
            async with session.get(url) as response:
                assert response.status == 503

    async def test_allowed_origin_of_another_host(self) -> None:
        async with running_gateway(door=loopback(allowed_origins=("https://*.example.com",))) as gateway:
            async with connect(gateway.url, origin="https://app.example.com"):  # type: ignore[arg-type]  # a NewType of str
                pass
            assert gateway.counters.refused["origin"] == 0
