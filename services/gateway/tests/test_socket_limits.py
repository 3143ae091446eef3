"""Bounds: slow readers, too many commands, connections or requests, time, and the end."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket as sockets
import time

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from warren_gateway.adapters.connections import ConnectionLimits
from warren_gateway.adapters.http import Door
from warren_gateway.adapters.upgrade import OriginPolicy
from warren_shared.contracts.auth import Admitted
from warren_shared.runtime.errors import StartupError

from .socket_client import (
    CONNECT,
    close_code,
    frame_of,
    handshake,
    let_in,
    lines,
    masked,
    messages_of,
    raw_client,
    until,
)
from .socket_fakes import RunningGateway, loopback, running_gateway

PAYLOAD = json.dumps("x" * 60_000).encode()


async def fill(gateway: RunningGateway, code: int = 3008) -> None:
    """Publish until somebody is closed."""
    for _ in range(500):
        if gateway.counters.disconnects[code]:
            return
        gateway.channels.publish("live:a", PAYLOAD)
        await asyncio.sleep(0)
    pytest.fail("nobody was closed")


class TestSlowReader:
    async def test_that_never_reads_is_cut(self) -> None:
        limits = ConnectionLimits(write_buffer=100_000, close_timeout=0.1)
        async with running_gateway(limits=limits) as gateway:
            with sockets.create_connection(("127.0.0.1", gateway.server.port)) as raw:
                raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
                raw.sendall(handshake())
                raw.sendall(masked(lines(CONNECT, {"id": 2, "subscribe": {"channel": "live:a"}})))
                await until(lambda: gateway.channels.num_subscribers("live:a") == 1)
                await fill(gateway)
                assert gateway.channels.num_subscribers("live:a") == 0
                await until(lambda: not gateway.connections)
            assert gateway.counters.cut == 1

    async def test_that_reads_in_the_end_is_told_3008_and_others_lose_nothing(self) -> None:
        limits = ConnectionLimits(write_buffer=100_000, close_timeout=5)
        subscribe = {"id": 2, "subscribe": {"channel": "live:a"}}
        async with (
            running_gateway(limits=limits) as gateway,
            let_in(gateway, subscribe) as quick,
            connect(gateway.url, max_queue=1) as slow,
        ):
            await frame_of(quick)
            received = 0

            async def read() -> None:
                nonlocal received
                async for _ in quick:
                    received += 1

            async with asyncio.TaskGroup() as tasks:
                reading = tasks.create_task(read())
                await slow.send(lines(CONNECT, subscribe))
                await until(lambda: gateway.channels.num_subscribers("live:a") == 2)
                published = 0
                while not gateway.counters.disconnects[3008]:
                    gateway.channels.publish("live:a", PAYLOAD)
                    published += 1
                    await until(lambda: received == published)  # noqa: B023 - awaited within the turn
                assert await close_code(slow) == 3008
                reading.cancel()
            assert gateway.channels.num_subscribers("live:a") == 1

    async def test_while_connecting_is_held_back_within_the_same_bound(self) -> None:
        limits = ConnectionLimits(write_buffer=100_000, close_timeout=1)
        async with running_gateway(limits=limits) as gateway:
            gateway.services.admitted = Admitted(user="alice", channels=("live:a", "live:b"))
            gateway.channels.waiting = []
            async with connect(gateway.url) as socket:
                await socket.send(lines(CONNECT))
                await until(lambda: len(gateway.channels.waiting or ()) == 2)
                gateway.channels.admit()
                await fill(gateway)
                assert await close_code(socket) == 3008


class TestBackpressure:
    async def test_no_more_commands_are_in_work_than_allowed_and_none_is_lost(self) -> None:
        async with running_gateway(rules={"command_concurrency": 2}) as gateway, let_in(gateway) as socket:
            gateway.services.gate = asyncio.Event()
            publishes = [{"id": n, "publish": {"channel": "live:a", "data": n}} for n in range(2, 52)]
            await socket.send(lines(*publishes[:20]))
            for publish in publishes[20:]:
                await socket.send(lines(publish))
            (connection,) = gateway.connections._open
            await until(lambda: connection._link._paused)  # type: ignore[attr-defined]  # it is a WebSocketLink
            assert len(gateway.services.published) == 2
            gateway.services.gate.set()
            assert [message["id"] for message in await messages_of(socket, 50)] == list(range(2, 52))
            assert [publication.data for publication in gateway.services.published] == [b"%d" % n for n in range(2, 52)]

    async def test_client_may_leave_while_its_commands_wait(self) -> None:
        async with running_gateway(rules={"command_concurrency": 1}) as gateway:
            gateway.services.gate = asyncio.Event()
            async with let_in(gateway) as socket:
                await socket.send(lines(*({"id": n, "publish": {"channel": "live:a", "data": n}} for n in range(2, 9))))
                await until(lambda: len(gateway.services.published) == 1)
            await until(lambda: not gateway.connections)
            gateway.services.gate.set()
            await asyncio.sleep(0)
            assert len(gateway.services.published) == 1


class TestTime:
    async def test_client_that_never_connects_is_stale(self) -> None:
        async with running_gateway(rules={"stale_timeout": 0.1}) as gateway, connect(gateway.url) as socket:
            assert await close_code(socket) == 3502

    async def test_client_that_answers_no_ping_is_closed(self) -> None:
        rules = {"ping_interval": 0.4, "pong_timeout": 0.2}
        async with running_gateway(rules=rules) as gateway, let_in(gateway) as socket:
            assert await frame_of(socket) == [{}]
            assert await close_code(socket) == 3012

    async def test_client_that_asks_for_websockets_own_pings_in_the_url_gets_those(self) -> None:
        rules = {"ping_interval": 0.4, "pong_timeout": 0.2}
        async with running_gateway(rules=rules) as gateway:
            asking = handshake().replace(b" HTTP/1.1", b"?cf_ws_frame_ping_pong=true HTTP/1.1", 1)
            async with raw_client(gateway, asking + masked(lines(CONNECT))) as reader:
                await reader.readuntil(b"}}")
                assert await reader.readexactly(2) == b"\x89\x00"
                await until(lambda: gateway.counters.disconnects[3012] == 1)

    async def test_client_that_answers_is_pinged_again(self) -> None:
        rules = {"ping_interval": 0.4, "pong_timeout": 0.2}
        async with running_gateway(rules=rules) as gateway, let_in(gateway) as socket:
            for _ in range(3):
                assert await frame_of(socket) == [{}]
                await socket.send("{}")

    async def test_connection_expires(self) -> None:
        async with running_gateway(rules={"expired_close_delay": 0.0}) as gateway:
            gateway.services.admitted = Admitted(user="alice", expire_at=time.time() + 0.2)
            async with let_in(gateway) as socket:
                assert await close_code(socket) == 3005


class TestDoor:
    async def test_connection_limit(self) -> None:
        async with running_gateway(door=loopback(connection_limit=1)) as gateway:
            async with connect(gateway.url):
                with pytest.raises(InvalidStatus) as refusal:
                    await connect(gateway.url)
                assert refusal.value.response.status_code == 503
            await until(lambda: not gateway.connections)
            async with connect(gateway.url):
                assert gateway.counters.refused == {"limit": 1}

    async def test_connection_rate(self) -> None:
        door = Door("127.0.0.1", 0, "/connection/websocket", (), 65_536, connection_rate=2)
        async with running_gateway(door=door) as gateway:
            async with connect(gateway.url), connect(gateway.url):
                with pytest.raises(InvalidStatus) as refusal:
                    await connect(gateway.url)
            assert refusal.value.response.status_code == 503

    async def test_port_in_use_is_one_clear_line(self) -> None:
        async with running_gateway() as gateway:
            with pytest.RaisesGroup(pytest.RaisesExc(StartupError, match=r"^port 127\.0\.0\.1:\d+ is in use")):
                async with running_gateway(door=loopback(port=gateway.server.port)):
                    pass


class TestShutdown:
    async def test_sends_everyone_away_spread_over_the_window(self) -> None:
        async with running_gateway() as gateway:
            clients = [await connect(gateway.url) for _ in range(20)]
            for client in clients:
                await client.send(lines(CONNECT))
                await frame_of(client)
            gateway.server.open = False
            began = time.monotonic()

            async def gone(client: ClientConnection) -> tuple[int | None, float]:
                return await close_code(client), time.monotonic() - began

            ends, _ = await asyncio.gather(
                asyncio.gather(*map(gone, clients)), gateway.connections.send_away(window=0.4, deadline=5)
            )
            assert {code for code, _ in ends} == {3001}
            moments = sorted(moment for _, moment in ends)
            assert max(later - earlier for earlier, later in itertools.pairwise(moments)) < 0.35
            assert moments[-1] - moments[0] > 0.2
            assert not gateway.connections

    async def test_lets_nobody_in_meanwhile(self) -> None:
        async with running_gateway() as gateway:
            gateway.server.open = False
            with pytest.raises(InvalidStatus) as refusal:
                await connect(gateway.url)
            assert refusal.value.response.status_code == 503

    async def test_cuts_who_does_not_go(self) -> None:
        async with (
            running_gateway(limits=ConnectionLimits(close_timeout=60)) as gateway,
            raw_client(gateway, handshake() + masked(lines(CONNECT))),
        ):
            await until(lambda: gateway.counters.commands["connect"] == 1)
            await gateway.connections.send_away(window=0, deadline=0.1)
            assert not gateway.connections
            assert gateway.counters.cut == 1

    async def test_of_nobody_takes_no_time(self) -> None:
        async with running_gateway() as gateway, asyncio.timeout(1):
            await gateway.connections.send_away(window=30, deadline=60)


@pytest.mark.parametrize(
    ("allowed", "origin", "admitted"),
    [
        ((), None, True),
        ((), "", True),
        ((), "http://gw.example.com:8000", True),
        ((), "https://GW.example.com:8000", True),
        ((), "http://gw.example.com", False),
        ((), "null", False),
        ((), "http://[", False),
        (("https://app.example.com",), "https://app.example.com", True),
        (("https://app.example.com",), "https://APP.example.com", True),
        (("https://app.example.com",), "https://app.example.com.evil.org", False),
        (("https://app.example.com",), "https://appxexample.com", False),
        (("https://*.example.com",), "https://a.b.example.com", True),
        (("https://*.example.com",), "https://example.com", False),
        (("https://*.example.com",), "http://a.example.com", False),
        (("https://*.example.com",), "https://evil.org/.example.com", False),
        (("*",), "null", True),
        (("*",), "https://anything", True),
        (("https://a", "https://b"), "https://b", True),
    ],
)
def test_origin(allowed: tuple[str, ...], origin: str | None, admitted: bool) -> None:
    assert OriginPolicy(allowed).admits(origin, "gw.example.com:8000") is admitted
