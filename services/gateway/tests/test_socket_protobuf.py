"""The gateway's port, spoken to in Protobuf: the handshake, frames, pings, and what is no command."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.frames import Frame, Opcode

from warren_gateway.adapters.framing import PROTOBUF_FRAMING
from warren_gateway.domain.protobuf import client_pb2 as pb
from warren_shared.contracts.codes import Disconnects
from warren_shared.contracts.history import Page, StoredPublication

from .protobuf_client import command, frame_with, replies_in
from .socket_client import CONNECT, close_code, frame_of, let_in, lines
from .socket_fakes import RunningGateway, running_gateway
from .socket_link import links

PROTOBUF = "centrifuge-protobuf"
CONNECTING = command(1, connect=pb.ConnectRequest(name="test"))


@pytest.fixture
async def gateway() -> AsyncIterator[RunningGateway]:
    async with running_gateway() as gateway:
        yield gateway


async def receive(socket: ClientConnection, count: int = 1) -> list[pb.Reply]:
    replies: list[pb.Reply] = []
    async with asyncio.timeout(5):
        while len(replies) < count:
            frame = await socket.recv()
            assert isinstance(frame, bytes), "binary frames alone"
            replies += replies_in(frame)
    return replies


@asynccontextmanager
async def let_in_by_protobuf(gateway: RunningGateway, *more: pb.Command) -> AsyncIterator[ClientConnection]:
    async with connect(gateway.url, subprotocols=[PROTOBUF]) as socket:  # type: ignore[list-item]  # a NewType of str
        await socket.send(frame_with(CONNECTING, *more))
        (reply,) = await receive(socket)
        assert reply.connect.node == "test-gateway"
        yield socket


@pytest.mark.parametrize(
    ("query", "offered", "chosen"),
    [
        ("", [PROTOBUF], PROTOBUF),
        ("", ["x", PROTOBUF, "centrifuge-json"], PROTOBUF),
        ("?format=protobuf", None, None),
        ("?cf_protocol=protobuf", None, None),
        ("?cf_protocol=protobuf", [PROTOBUF], PROTOBUF),
    ],
)
async def test_a_client_that_asks_for_protobuf_gets_it(
    gateway: RunningGateway, query: str, offered: Any, chosen: str | None
) -> None:
    async with connect(gateway.url + query, subprotocols=offered) as socket:
        assert socket.subprotocol == chosen
        await socket.send(frame_with(CONNECTING))
        (reply,) = await receive(socket)
        assert (reply.id, reply.connect.ping, reply.connect.pong) == (1, 25, True)


@pytest.mark.parametrize(
    ("query", "offered"), [("?format=json", None), ("?cf_protocol=x", None), ("", ["centrifuge-json", PROTOBUF])]
)
async def test_any_other_gets_json(gateway: RunningGateway, query: str, offered: Any) -> None:
    async with connect(gateway.url + query, subprotocols=offered) as socket:
        await socket.send(lines(CONNECT))
        assert "connect" in (await frame_of(socket))[0]


async def test_commands_of_one_frame_are_answered_in_order_behind_the_connect(gateway: RunningGateway) -> None:
    more = [
        command(2, subscribe=pb.SubscribeRequest(channel="chat:a")),
        command(3, rpc={}),
        command(4, unsubscribe={"channel": "chat:a"}),
    ]
    async with let_in_by_protobuf(gateway, *more) as socket:
        replies = await receive(socket, 3)
        assert [reply.id for reply in replies] == [2, 3, 4]
        assert (replies[0].subscribe.recoverable, replies[0].subscribe.epoch) == (True, "e")
        assert replies[1].error.code == 108
        assert replies[2].HasField("unsubscribe")


async def test_a_publication_reaches_clients_of_both_encodings_in_theirs(gateway: RunningGateway) -> None:
    subscribe = command(2, subscribe=pb.SubscribeRequest(channel="live:a"))
    async with (
        let_in(gateway, {"id": 2, "subscribe": {"channel": "live:a"}}) as theirs,
        let_in_by_protobuf(gateway, subscribe) as ours,
    ):
        await frame_of(theirs)
        await receive(ours)
        await ours.send(frame_with(command(3, publish={"channel": "live:a", "data": b'{"n": 1}'})))
        pushed, published = sorted(await receive(ours, 2), key=lambda reply: reply.id)
        assert published.HasField("publish")
        assert (pushed.push.channel, pushed.push.pub.data) == ("live:a", b'{"n": 1}')
        assert await frame_of(theirs) == [{"push": {"channel": "live:a", "pub": {"data": {"n": 1}}}}]


@pytest.mark.parametrize("data", [b"\x00\x01", b"{", b"\xff", b"[" * 600 + b"]" * 600])
async def test_data_that_is_no_json_is_refused_on_a_channel_of_json(gateway: RunningGateway, data: bytes) -> None:
    async with let_in_by_protobuf(gateway) as socket:
        await socket.send(frame_with(command(2, publish={"channel": "live:a", "data": data})))
        assert (await receive(socket))[0].error.code == 107
    assert gateway.services.published == []


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"", 3501),
        (b"\x05", 3501),
        (b"\x00", 3501),
        (b'{"id":1,"connect":{}}', 3501),
        (frame_with(command(2, publish={"channel": "live:a", "data": b""})), 3501),
        (frame_with(CONNECTING), 3501),
        (frame_with(command(0, send={"data": b"1"})), 3508),
    ],
    ids=["empty", "cut short", "pong", "JSON", "no data", "second connect", "send"],
)
async def test_what_may_not_be_sent_closes_with_its_code(gateway: RunningGateway, frame: bytes, code: int) -> None:
    async with let_in_by_protobuf(gateway) as socket:
        await socket.send(frame)
        assert await close_code(socket) == code


async def test_what_stands_before_the_undecodable_part_of_a_frame_is_carried_out(gateway: RunningGateway) -> None:
    publish = frame_with(command(2, publish={"channel": "live:a", "data": b"1"}))
    async with let_in_by_protobuf(gateway) as socket:
        await socket.send(publish + b"\xff" + publish)
        assert await close_code(socket) == 3501
    assert len(gateway.services.published) == 1


async def test_a_history_with_bytes_is_read_in_protobuf_and_closes_a_client_of_json(gateway: RunningGateway) -> None:
    stored = StoredPublication(offset=1, data="AAE=", binary=True)
    gateway.services.page = Page(epoch="e", top=1, publications=(stored,))
    async with let_in_by_protobuf(gateway) as ours, let_in(gateway) as theirs:
        await ours.send(frame_with(command(2, history={"channel": "chat:a", "limit": 1})))
        (reply,) = await receive(ours)
        assert [each.data for each in reply.history.publications] == [b"\x00\x01"]
        await theirs.send(lines({"id": 2, "history": {"channel": "chat:a", "limit": 1}}))
        assert await close_code(theirs) == 3506


async def test_a_connection_that_is_cut_off_is_told_why(gateway: RunningGateway) -> None:
    async with let_in(gateway, {"id": 2, "subscribe": {"channel": "live:a"}}) as socket:
        await frame_of(socket)
        (subscriber,) = gateway.channels.subscribers["live:a"].values()
        subscriber.cut_off(Disconnects.INAPPROPRIATE_PROTOCOL)
        assert await close_code(socket) == 3506
    assert gateway.counters.disconnects[3506] == 1


def binary(payload: bytes) -> bytes:
    return Frame(Opcode.BINARY, payload).serialize(mask=True)


async def test_a_ping_is_the_single_byte_zero_and_so_is_its_answer() -> None:
    async with links() as gateway:
        link, transport = gateway.open(framing=PROTOBUF_FRAMING)
        link.data_received(binary(frame_with(CONNECTING)))
        await gateway.until(lambda: bool(transport.written))
        gateway.turns.run()
        (connection,) = gateway.connections._open
        for number in range(1, 4):
            gateway.clock.time += 25
            connection.wake()
            assert transport.frames(Opcode.BINARY)[1:] == [b"\x00"] * number
            link.data_received(binary(b"\x00"))
        gateway.clock.time += 25
        connection.wake()
        gateway.clock.time += 8
        connection.wake()
        assert transport.close_code == 3012
