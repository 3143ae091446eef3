"""Clients that have HTTP alone: what they are told, and how their commands find them."""

from __future__ import annotations

import asyncio
import json
import socket as sockets
from typing import Any

import aiohttp
import pytest

from warren_gateway.adapters.connections import ConnectionLimits
from warren_gateway.adapters.emulation import Outcome
from warren_gateway.adapters.http_link import HttpLink
from warren_gateway.domain.protobuf import client_pb2 as pb
from warren_gateway.domain.protobuf.wire import delimited, next_message
from warren_gateway.domain.session_rates import SessionRates
from warren_shared.contracts.auth import Refused
from warren_shared.contracts.codes import Disconnects
from warren_shared.messaging.port import BrokerUnavailableError

from .socket_client import CONNECT, lines, raw_client, until
from .socket_fakes import Others, RunningGateway, loopback, running_gateway
from .stream_client import Stream, stream

_GONE = Disconnects.FORCE_DISCONNECT
BOTH = pytest.mark.parametrize("sse", [False, True], ids=["http_stream", "sse"])
SUBSCRIBE = {"id": 2, "subscribe": {"channel": "live:a"}}


@BOTH
class TestStream:
    async def test_replies_and_pushes_come_down_one_response(self, sse: bool) -> None:
        async with running_gateway() as gateway, stream(gateway, SUBSCRIBE, sse=sse) as client:
            assert client.connected["node"] == "test-gateway"
            assert (await client.message())["subscribe"] == {}
            gateway.channels.publish("live:a", b'{"n":1}', b'{"n":2}')
            for number in (1, 2):
                push = (await client.message())["push"]
                assert push == {"channel": "live:a", "pub": {"data": {"n": number}}}

    async def test_commands_come_in_requests_of_their_own_in_order(self, sse: bool) -> None:
        async with running_gateway() as gateway, stream(gateway, SUBSCRIBE, sse=sse) as client:
            await client.message()
            for number in range(3, 23):
                assert await client.send({"id": number, "publish": {"channel": "live:a", "data": number}}) == 204
            assert [publication.data for publication in gateway.services.published] == [b"%d" % n for n in range(3, 23)]

    async def test_commands_sent_to_another_gateway_arrive_in_order_as_well(self, sse: bool) -> None:
        others = Others()
        async with (
            running_gateway(others=others) as gateway,
            running_gateway(name="other", others=others) as other,
            stream(gateway, SUBSCRIBE, sse=sse) as client,
        ):
            await client.message()
            for number in range(3, 23):
                publish = {"id": number, "publish": {"channel": "live:a", "data": number}}
                assert await client.send(publish, to=other) == 204
            await until(lambda: len(gateway.services.published) == 20)
            assert [publication.data for publication in gateway.services.published] == [b"%d" % n for n in range(3, 23)]
            assert not other.services.published

    async def test_the_end_is_a_push_and_then_the_response_is_over(self, sse: bool) -> None:
        async with running_gateway() as gateway, stream(gateway, sse=sse) as client:
            assert await client.send(CONNECT) == 204
            assert await client.ended() == {"push": {"disconnect": {"code": 3501, "reason": "bad request"}}}
            await until(lambda: not gateway.connections)
            assert len(gateway.emulation.sessions) == 0

    async def test_who_may_not_connect_is_told_why(self, sse: bool) -> None:
        async with running_gateway() as gateway:
            gateway.services.admitted = Refused(code=3500, reason="invalid token", disconnect=True)
            async with stream(gateway, sse=sse, let_in=False) as client:
                assert await client.ended() == {"push": {"disconnect": {"code": 3500, "reason": "invalid token"}}}

    async def test_pings_are_answered_by_requests_or_else_the_end_is_3012(self, sse: bool) -> None:
        times = {"ping_interval": 0.5, "pong_timeout": 0.3}
        async with running_gateway(rules=times) as gateway, stream(gateway, sse=sse) as client:
            assert client.connected["pong"] is True
            for _ in range(3):
                assert await client.message() == {}
                assert await client.send({}) == 204
            assert (await client.ended())["push"]["disconnect"]["code"] == 3012

    async def test_a_client_that_goes_is_forgotten(self, sse: bool) -> None:
        async with running_gateway() as gateway:
            async with stream(gateway, SUBSCRIBE, sse=sse) as client:
                await client.message()
                assert gateway.channels.num_subscribers("live:a") == 1
            await until(lambda: not gateway.connections)
            assert gateway.channels.num_subscribers("live:a") == 0
            assert len(gateway.emulation.sessions) == 0

    async def test_shutdown_hands_clients_over(self, sse: bool) -> None:
        async with running_gateway() as gateway, stream(gateway, sse=sse) as client:
            gateway.server.open = False
            away = asyncio.create_task(gateway.connections.send_away(0, 5))
            assert (await client.ended())["push"]["disconnect"]["code"] == 3001
            await away
            async with aiohttp.ClientSession() as http:
                refused = await http.post(f"{gateway.http}/connection/http_stream", data=lines(CONNECT))
            assert refused.status == 503
            assert gateway.counters.cut == 0


@BOTH
async def test_who_reads_nothing_is_closed_with_3008_and_cut(sse: bool) -> None:
    limits = ConnectionLimits(write_buffer=65_536, close_timeout=0.2)
    body = lines(CONNECT, SUBSCRIBE)
    path = "sse" if sse else "http_stream"
    request = f"POST /connection/{path} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    payload = json.dumps("x" * 60_000).encode()
    async with running_gateway(limits=limits) as gateway:
        with sockets.create_connection(("127.0.0.1", gateway.server.port)) as deaf:
            deaf.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
            deaf.sendall(request.encode())
            await until(lambda: gateway.channels.num_subscribers("live:a") == 1)
            for _ in range(500):
                gateway.channels.publish("live:a", payload)
                await asyncio.sleep(0)
                if gateway.counters.disconnects[3008]:
                    break
            assert gateway.counters.disconnects[3008] == 1
            await until(lambda: not gateway.connections)
        assert gateway.counters.cut == 1


async def test_a_stream_in_protobuf_is_told_messages_behind_their_length() -> None:
    connect = pb.Command(id=1, connect=pb.ConnectRequest()).SerializeToString()
    binary = {"Content-Type": "application/octet-stream"}
    async with running_gateway() as gateway, aiohttp.ClientSession(headers=binary) as http:
        url = f"{gateway.http}/connection/http_stream"
        async with http.post(url, data=delimited(connect)) as response:
            assert response.content_type == "application/octet-stream"
            result = pb.Reply.FromString(next_message(await response.content.readany(), 0)[0]).connect
            subscribe = pb.Command(id=2, subscribe=pb.SubscribeRequest(channel="live:a")).SerializeToString()
            request = pb.EmulationRequest(node=result.node, session=result.session, data=delimited(subscribe))
            async with http.post(f"{gateway.http}/emulation", data=request.SerializeToString()) as sent:
                assert sent.status == 204
            reply = pb.Reply.FromString(next_message(await response.content.readany(), 0)[0])
            assert (reply.id, reply.HasField("subscribe")) == (2, True)
            gateway.channels.publish("live:a", b"7")
            push = pb.Reply.FromString(next_message(await response.content.readany(), 0)[0]).push
            assert push.pub.data == b"7"
            (connection,) = gateway.connections.find("alice", None, None)
            connection.cut_off(_GONE)
            last = pb.Reply.FromString(next_message(await response.content.read(), 0)[0]).push
            assert last.disconnect.code == _GONE.code


async def test_a_proxy_of_http_1_0_gets_a_body_without_chunks() -> None:
    body = lines(CONNECT)
    request = f"POST /connection/http_stream HTTP/1.0\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    async with running_gateway() as gateway, raw_client(gateway, request.encode()) as reader:
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"chunked" not in head
        assert "connect" in json.loads(await reader.readline())


class TestRefused:
    @pytest.mark.parametrize(
        ("change", "status"),
        [
            ({"node": "nobody"}, 404),
            ({"node": "a.b"}, 404),
            ({"node": ""}, 404),
            ({"session": "guess"}, 204),
            ({"session": "\ud800"}, 400),
            ({"session": 1}, 400),
            ({"data": {"id": 2}}, 400),
            ({"data": " " * 65_537}, 413),
            ({"data": " " * 200_000}, 413),
        ],
        ids=str,
    )
    async def test_requests_with_commands(self, change: dict[str, Any], status: int) -> None:
        async with running_gateway() as gateway, stream(gateway) as client:
            assert await client.send({"id": 2, "publish": {"channel": "live:a", "data": 1}}, **change) == status
            assert not gateway.services.published
            assert len(gateway.connections) == 1

    async def test_a_session_of_another_gateway_is_no_business_of_this_one(self) -> None:
        others = Others()
        async with (
            running_gateway(others=others) as gateway,
            running_gateway(name="other", others=others) as other,
            stream(gateway) as client,
        ):
            publish = {"id": 2, "publish": {"channel": "live:a", "data": 1}}
            assert await client.send(publish, to=other, node="other") == 204
            assert (gateway.services.published, other.services.published) == ([], [])

    async def test_without_the_broker_commands_for_other_gateways_are_answered_503(self) -> None:
        async with running_gateway() as gateway, stream(gateway) as client:
            gateway.others.failure = BrokerUnavailableError("away")
            assert await client.send({"id": 2, "publish": {"channel": "live:a", "data": 1}}, node="other") == 503
            assert await client.send({}) == 204

    async def test_a_connect_that_is_too_large(self) -> None:
        async with running_gateway(door=loopback(message_limit=2000)) as gateway, aiohttp.ClientSession() as http:
            for size in (2001, 100_000):
                response = await http.post(f"{gateway.http}/connection/http_stream", data=b" " * size)
                assert response.status == 413
            assert len(gateway.connections) == 0

    async def test_a_body_that_does_not_come_in_time(self) -> None:
        head = b"POST /connection/http_stream HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{"
        async with running_gateway(rules={"stale_timeout": 0.2}) as gateway, raw_client(gateway, head) as reader:
            assert (await reader.readline()).startswith(b"HTTP/1.1 408")

    async def test_garbage_in_place_of_a_connect_ends_with_3501(self) -> None:
        async with running_gateway() as gateway, aiohttp.ClientSession() as http:
            for body in (b"", b"\xff", b"{", b"[]"):
                url, kind = f"{gateway.http}/connection/http_stream", {"Content-Type": "application/json"}
                response = await http.post(url, data=body, headers=kind)
                assert json.loads(await response.text())["push"]["disconnect"]["code"] == 3501

    async def test_no_more_connections_than_allowed(self) -> None:
        async with running_gateway(door=loopback(connection_limit=1)) as gateway, stream(gateway):
            async with aiohttp.ClientSession() as http:
                response = await http.get(f"{gateway.http}/connection/sse", params={"cf_connect": "{}"})
            assert response.status == 503


class TestOrigins:
    @pytest.mark.parametrize(
        ("method", "path"), [("post", "/connection/http_stream"), ("get", "/connection/sse"), ("post", "/emulation")]
    )
    async def test_a_page_on_another_host_is_refused_and_its_browser_told_so_before(
        self, method: str, path: str
    ) -> None:
        origin = {"Origin": "https://elsewhere.example"}
        async with running_gateway() as gateway, aiohttp.ClientSession(headers=origin) as http:
            assert (await http.request(method, gateway.http + path)).status == 403
            assert (await http.options(gateway.http + path)).status == 403
            assert len(gateway.connections) == 0

    async def test_a_page_on_an_allowed_host_may_read_everything(self) -> None:
        origin = "https://app.example"
        asks = {"Origin": origin, "Access-Control-Request-Headers": "content-type"}
        async with (
            running_gateway(door=loopback(allowed_origins=(origin,))) as gateway,
            stream(gateway, headers={"Origin": origin}) as client,
            aiohttp.ClientSession() as http,
        ):
            assert client.response.headers["Access-Control-Allow-Origin"] == origin
            preflight = await http.options(f"{gateway.http}/emulation", headers=asks)
            assert preflight.status == 204
            assert preflight.headers["Access-Control-Allow-Headers"] == "content-type"
            assert preflight.headers["Access-Control-Max-Age"] == "300"
            sent = await http.post(f"{gateway.http}/emulation", json={}, headers={"Origin": origin})
            assert (sent.status, sent.headers["Access-Control-Allow-Origin"]) == (400, origin)


class TestBounds:
    async def test_no_more_commands_are_in_work_than_allowed_and_none_is_lost(self) -> None:
        async with running_gateway(rules={"command_concurrency": 2}) as gateway, stream(gateway) as client:
            gateway.services.gate = asyncio.Event()
            await send_publishes(client, 20)
            await until(lambda: len(gateway.services.published) == 2)
            gateway.services.gate.set()
            assert [(await client.message())["id"] for _ in range(20)] == list(range(2, 22))

    async def test_whose_messages_wait_beyond_a_bound_is_closed_with_3013(self) -> None:
        door = loopback(message_limit=1024)
        async with running_gateway(door=door, rules={"command_concurrency": 1}) as gateway, stream(gateway) as client:
            gateway.services.gate = asyncio.Event()
            for number in range(2, 8):
                data = "x" * 900
                await client.send({"id": number, "publish": {"channel": "live:a", "data": data}})
            assert (await client.ended())["push"]["disconnect"]["code"] == 3013
            gateway.services.gate.set()

    async def test_who_sends_too_many_requests_is_told_429_and_what_was_taken_is_done_once_and_in_order(self) -> None:
        now = 0.0
        async with (
            running_gateway(rates=SessionRates(3, 0), rates_now=lambda: now) as gateway,
            stream(gateway) as client,
        ):
            assert [await publish(client, number) for number in range(2, 7)] == [204, 204, 204, 429, 429]
            now = 1.0
            assert await publish(client, 5) == 204
            assert [(await client.message())["id"] for _ in range(4)] == [2, 3, 4, 5]
            assert [publication.data for publication in gateway.services.published] == [b"2", b"3", b"4", b"5"]
            assert gateway.emulation.counts[Outcome.LIMITED] == 2

    async def test_who_sends_too_many_bytes_is_told_429(self) -> None:
        async with running_gateway(rates=SessionRates(0, 1000)) as gateway, stream(gateway) as client:
            assert await publish(client, "x" * 800) == 204
            assert await publish(client, "x" * 800) == 429
            assert len(gateway.services.published) == 1

    async def test_nobody_pays_for_another_session(self) -> None:
        async with (
            running_gateway(rates=SessionRates(1, 0)) as gateway,
            stream(gateway) as greedy,
            stream(gateway) as modest,
        ):
            await publish(greedy, 1)
            assert await publish(greedy, 2) == 429
            assert await publish(modest, 3) == 204

    async def test_requests_for_other_gateways_are_bounded_before_the_broker_has_them(self) -> None:
        others = Others()
        async with (
            running_gateway(others=others) as gateway,
            running_gateway(name="other", others=others, rates=SessionRates(1, 0)) as other,
            stream(gateway) as client,
        ):
            assert [await publish(client, number, to=other) for number in (1, 2)] == [204, 429]
            await client.message()
            assert len(gateway.services.published) == 1
            assert other.emulation.counts == {Outcome.FORWARDED: 1, Outcome.LIMITED: 1}

    async def test_a_page_on_another_host_can_read_why(self) -> None:
        origin = "https://app.example"
        door = loopback(allowed_origins=(origin,))
        async with running_gateway(door=door, rates=SessionRates(1, 0)) as gateway, aiohttp.ClientSession() as http:
            body = {"session": "s", "node": "test-gateway", "data": "{}"}
            for _ in range(2):
                answer = await http.post(f"{gateway.http}/emulation", json=body, headers={"Origin": origin})
            assert (answer.status, answer.headers["Retry-After"]) == (429, "1")
            assert answer.headers["Access-Control-Allow-Origin"] == origin
            assert "Nothing was done" in await answer.text()


async def publish(client: Stream, data: Any, *, to: RunningGateway | None = None) -> int:
    """Send a publish in a request of its own; its id is the data, where that is a number."""
    number = data if isinstance(data, int) else 2
    return await client.send({"id": number, "publish": {"channel": "live:a", "data": data}}, to=to)


async def send_publishes(client: Stream, count: int) -> None:
    for number in range(2, 2 + count):
        await client.send({"id": number, "publish": {"channel": "live:a", "data": number}})


@BOTH
async def test_the_kernel_gives_up_a_client_that_acknowledges_no_pings(sse: bool) -> None:
    rules = {"ping_interval": 20.0, "pong_timeout": 5.0}
    async with running_gateway(rules=rules) as gateway, stream(gateway, sse=sse):
        (connection,) = gateway.connections._open
        link = connection._link
        assert isinstance(link, HttpLink)
        accepted = link._transport.get_extra_info("socket")
        assert accepted.getsockopt(sockets.IPPROTO_TCP, sockets.TCP_USER_TIMEOUT) == 25_000
