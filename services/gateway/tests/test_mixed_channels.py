"""Channels whose subscribers speak different encodings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import pytest

from warren_gateway.domain.commands import Command
from warren_gateway.domain.encoding import Encoding, PushHead
from warren_gateway.domain.json_encoding import JSON
from warren_gateway.domain.protobuf import client_pb2 as pb
from warren_gateway.domain.protobuf.encoding import PROTOBUF
from warren_gateway.domain.protobuf.wire import delimited
from warren_gateway.domain.publications import Publication
from warren_gateway.domain.replies import Reply
from warren_shared.contracts.codes import Disconnects
from warren_shared.contracts.presence import Member
from warren_shared.contracts.publication import Position

from .bus_fakes import NAMESPACES, Client, Lines, namespaces
from .bus_world import World, announced, live, world
from .protobuf_client import replies_in

BINARY: Final = "  - {name: raw, publication_data_format: binary, presence: true}\n"


class Counted:
    """An encoding that counts what it encodes."""

    def __init__(self, encoding: Encoding) -> None:
        self._encoding = encoding
        self.encoded = 0

    @property
    def whole(self) -> Encoding:
        return self._encoding.whole

    @property
    def delta(self) -> Encoding:
        return self._encoding.delta

    def decode(self, frame: bytes) -> Iterator[Command]:
        return self._encoding.decode(frame)

    def encode(self, reply: Reply) -> bytes:
        return self._encoding.encode(reply)

    def publication(self, publication: Publication) -> bytes:
        self.encoded += 1
        return self._encoding.publication(publication)

    def head(self, channel: str) -> PushHead:
        return CountedHead(self, self._encoding.head(channel))


class CountedHead:
    """Makes the pushes of a counted encoding."""

    def __init__(self, counted: Counted, head: PushHead) -> None:
        self._counted, self._head = counted, head

    def publication(self, publication: Publication) -> bytes:
        self._counted.encoded += 1
        return self._head.publication(publication)

    def join(self, info: bytes) -> bytes:
        return self._head.join(info)

    def leave(self, info: bytes) -> bytes:
        return self._head.leave(info)


class Delimited(Lines):
    """Frames with each push behind its length."""

    def __init__(self, encoding: Encoding = PROTOBUF) -> None:
        super().__init__(encoding)

    def pack(self, messages: Sequence[bytes]) -> bytes:
        self.packed += 1
        return b"".join(map(delimited, messages))


class ProtobufClient(Client):
    """A client that speaks Protobuf."""

    def __init__(self, name: str, framing: Delimited | None = None) -> None:
        super().__init__(name, framing or Delimited())

    @property
    def received(self) -> list[pb.Push]:
        return [reply.push for frame in self.frames for reply in replies_in(frame)]


async def mixed(
    w: World, channel: str, json: Lines, protobuf: Delimited, count: int = 3
) -> tuple[list[Client], list[ProtobufClient]]:
    ours = [Client(f"j{number}", json) for number in range(count)]
    theirs = [ProtobufClient(f"p{number}", protobuf) for number in range(count)]
    for place, client in enumerate([*ours, *theirs]):
        await w.subscribe(client, channel, push_join_leave=place % 2 == 0)
    return ours, theirs


@pytest.mark.parametrize("channel", ["live:a", "chat:a"])
async def test_a_publication_is_encoded_and_packed_once_for_each_encoding(channel: str) -> None:
    json, protobuf = Counted(JSON), Counted(PROTOBUF)
    async with world() as w:
        ours, theirs = await mixed(w, channel, Lines(json), Delimited(protobuf))
        await w.publish(channel, *range(5))
        assert (json.encoded, protobuf.encoded) == (5, 5)
        assert [client.data for client in ours] == [list(range(5))] * 3
        assert [[push.pub.data for push in client.received] for client in theirs] == [[b"%d" % n for n in range(5)]] * 3
        for clients in (ours, theirs):
            assert len({id(client.frames[0]) for client in clients}) == 1, "one object for everybody"
            assert clients[0].framing.packed == 1


async def test_joins_and_leaves_reach_those_who_want_them_in_their_encoding() -> None:
    async with world() as w:
        ours, theirs = await mixed(w, "chat:a", Lines(), Delimited())
        w.route(announced("chat:a", b'{"user":"u","client":"x","conn_info":{"a":1}}', "join"))
        w.route(announced("chat:a", b'{"user":"u","client":"x"}', "leave"))
        await w.deliver()
        assert [len(client.pushes) for client in ours] == [2, 0, 2]
        assert [len(client.received) for client in theirs] == [0, 2, 0]
        joined, left = theirs[1].received
        assert (joined.join.info.user, joined.join.info.conn_info) == ("u", b'{"a":1}')
        assert left.leave.info.client == "x"


async def test_nothing_is_encoded_for_an_encoding_that_nobody_speaks() -> None:
    json, protobuf = Counted(JSON), Counted(PROTOBUF)
    async with world() as w:
        client, other = Client("j", Lines(json)), ProtobufClient("p", Delimited(protobuf))
        await w.subscribe(client, "live:a")
        await w.subscribe(other, "live:a")
        w.channels.unsubscribe("live:a", other)
        await w.publish("live:a", 1)
        assert (json.encoded, protobuf.encoded) == (1, 0)


async def test_those_who_recover_the_same_share_one_encoding_for_each_encoding() -> None:
    json, protobuf = Counted(JSON), Counted(PROTOBUF)
    async with world() as w:
        for number in range(1, 4):
            w.history.publish("chat:a", number)
        for name in "abc":
            ours, theirs = Client(f"j{name}", Lines(json)), ProtobufClient(f"p{name}", Delimited(protobuf))
            for client in (ours, theirs):
                await w.subscribe(client, "chat:a", Position("E1", 1))
                assert client.reply.recovered
            shown = [pb.Publication.FromString(each) for each in theirs.reply.publications]
            assert [(each.offset, each.data) for each in shown] == [(2, b"2"), (3, b"3")]
            assert ours.reply.publications == [b'{"data":%d,"offset":%d,"time":7}' % (n, n) for n in (2, 3)]
        assert (json.encoded, protobuf.encoded) == (2, 2)


async def test_bytes_that_are_no_json_reach_who_speaks_protobuf_and_close_who_speaks_json() -> None:
    async with world(names=namespaces(NAMESPACES + BINARY)) as w:
        ours, theirs = Client("j"), ProtobufClient("p")
        for client in (ours, theirs):
            await w.subscribe(client, "raw:a", member=Member(client=client.client))
        for body in (b'"text"', b"\x00\xff", b"\x01", b'{"a":\n1}'):
            w.route(live("raw:a", body))
            await w.deliver()
        assert [push.pub.data for push in theirs.received] == [b'"text"', b"\x00\xff", b"\x01", b'{"a":\n1}']
        assert ours.data == ["text"]
        assert (ours.closed, theirs.closed) == ([Disconnects.INAPPROPRIATE_PROTOCOL], [])
        assert w.channels.num_subscribers("raw:a") == 1
        w.channels.unsubscribe("raw:a", ours)
        assert w.channels.num_subscribers("raw:a") == 1
