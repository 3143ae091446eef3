"""Commands in Protobuf, as the generated classes write them."""

from __future__ import annotations

from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from warren_gateway.domain import commands, replies
from warren_gateway.domain.encoding import UndecodableError
from warren_gateway.domain.protobuf import client_pb2 as pb
from warren_gateway.domain.protobuf.encoding import PROTOBUF
from warren_gateway.domain.protobuf.wire import delimited
from warren_gateway.domain.tags_filter import FilterNode

from .protobuf_client import command, frame_with

U32, U64, I64 = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1), st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
BYTES = st.binary(max_size=20)


def nodes(op: st.SearchStrategy[str], inner: st.SearchStrategy[list[FilterNode]]) -> st.SearchStrategy[FilterNode]:
    return st.builds(FilterNode, op=op, nodes=inner.map(tuple))


LEAVES = st.builds(FilterNode, key=TEXT, cmp=TEXT, val=TEXT, vals=st.lists(TEXT, max_size=3).map(tuple))
SUBSCRIBE = st.builds(
    commands.SubscribeCommand,
    channel=TEXT,
    token=TEXT,
    recover=st.booleans(),
    epoch=TEXT,
    offset=U64,
    positioned=st.booleans(),
    recoverable=st.booleans(),
    join_leave=st.booleans(),
    delta=TEXT,
    tf=st.none() | st.recursive(LEAVES, lambda inner: nodes(st.just("or"), st.lists(inner, max_size=3))),
    flag=I64,
    data=BYTES.map(msgspec.Raw),
)
SINCE = st.builds(commands.StreamPosition, U64, TEXT)
REQUESTS: st.SearchStrategy[commands.Request] = st.one_of(
    st.builds(
        commands.ConnectCommand,
        token=TEXT,
        name=TEXT,
        version=TEXT,
        headers=st.dictionaries(TEXT, TEXT, max_size=3),
        subs=st.dictionaries(TEXT, SUBSCRIBE, max_size=3),
        data=BYTES.map(msgspec.Raw),
    ),
    SUBSCRIBE,
    st.builds(commands.UnsubscribeCommand, TEXT),
    st.builds(commands.PublishCommand, TEXT, BYTES),
    st.builds(commands.PresenceCommand, TEXT),
    st.builds(commands.PresenceStatsCommand, TEXT),
    st.builds(commands.HistoryCommand, TEXT, st.integers(-(2**31), 2**31 - 1), st.none() | SINCE, st.booleans()),
    st.builds(commands.PingCommand),
    st.builds(commands.SendCommand, BYTES),
    st.builds(commands.RpcCommand, TEXT, BYTES),
    st.builds(commands.RefreshCommand, TEXT),
    st.builds(commands.SubRefreshCommand, TEXT, TEXT),
)


def subscribe_message(request: commands.SubscribeCommand) -> pb.SubscribeRequest:
    fields = {name: getattr(request, name) for name in request.__struct_fields__}
    fields["data"] = bytes(request.data)
    return pb.SubscribeRequest(**{**fields, "tf": None if request.tf is None else filter_message(request.tf)})


def filter_message(node: FilterNode) -> pb.FilterNode:
    nodes = [filter_message(each) for each in node.nodes]
    return pb.FilterNode(op=node.op, key=node.key, cmp=node.cmp, val=node.val, vals=node.vals, nodes=nodes)


def message_of(number: int, request: commands.Request) -> pb.Command:
    """Return what a client sends for a request, in the generated classes' terms."""
    fields = {name: getattr(request, name) for name in request.__struct_fields__}
    match request:
        case commands.ConnectCommand():
            subs = {channel: subscribe_message(sub) for channel, sub in (request.subs or {}).items()}
            return command(number, connect=pb.ConnectRequest(**{**fields, "subs": subs, "data": bytes(request.data)}))
        case commands.SubscribeCommand():
            return command(number, subscribe=subscribe_message(request))
        case commands.HistoryCommand(channel, limit, since, reverse):
            position = None if since is None else pb.StreamPosition(offset=since.offset, epoch=since.epoch)
            history = pb.HistoryRequest(channel=channel, limit=limit, since=position, reverse=reverse)
            return command(number, history=history)
        case _:
            return command(number, **{commands.method_of(request): fields})


@given(st.lists(st.tuples(U32, REQUESTS), min_size=1, max_size=4))
def test_every_command_is_read_as_it_was_sent_however_many_share_a_frame(
    sent: list[tuple[int, commands.Request]],
) -> None:
    frame = frame_with(*(message_of(number, request) for number, request in sent))
    assert list(PROTOBUF.decode(frame)) == [commands.Command(number, request) for number, request in sent]


@given(st.binary(max_size=200))
def test_any_bytes_decode_or_are_undecodable(frame: bytes) -> None:
    with suppress(UndecodableError):
        assert all(isinstance(each, commands.Command) for each in PROTOBUF.decode(frame))


@given(st.lists(st.tuples(U32, REQUESTS), min_size=1, max_size=2), st.data())
def test_a_damaged_frame_decodes_or_is_undecodable(
    sent: list[tuple[int, commands.Request]], data: st.DataObject
) -> None:
    frame = bytearray(frame_with(*(message_of(number, request) for number, request in sent)))
    frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    with suppress(UndecodableError):
        assert all(isinstance(each, commands.Command) for each in PROTOBUF.decode(bytes(frame)))


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\x05",
        b"\x80",
        b"\xff" * 5 + b"\x00",
        b"\x80" * 12,
        b"\x02\x08",
        delimited(b"\x3a\x04\x0a\x02\xff\xfe"),
        delimited(b"\x07"),
        b'{"id":1,"connect":{}}',
    ],
    ids=["empty", "no message", "half a length", "huge", "endless length", "cut short", "no UTF-8", "no field", "JSON"],
)
def test_what_is_no_command_is_undecodable(frame: bytes) -> None:
    with pytest.raises(UndecodableError):
        list(PROTOBUF.decode(frame))


def test_commands_before_garbage_are_handed_over_first() -> None:
    decoded = PROTOBUF.decode(frame_with(command(1, ping={})) + b"\xff")
    assert next(decoded).id == 1
    with pytest.raises(UndecodableError):
        next(decoded)


def test_the_answer_to_a_ping_is_a_single_zero() -> None:
    assert list(PROTOBUF.decode(b"\x00\x00")) == [commands.Command(0, None)] * 2
    assert delimited(PROTOBUF.encode(replies.Ping())) == b"\x00"


def test_of_several_requests_the_first_of_the_protocol_counts() -> None:
    several = command(1, publish={"channel": "p", "data": b"1"}, unsubscribe={"channel": "u"})
    assert list(PROTOBUF.decode(frame_with(several))) == [commands.Command(1, commands.UnsubscribeCommand("u"))]


def test_fields_that_are_not_known_are_skipped() -> None:
    unknown = command(1, rpc={"method": "m"}).SerializeToString() + b"\x12\x01x\xa2\x06\x01y"
    assert list(PROTOBUF.decode(delimited(unknown))) == [commands.Command(1, commands.RpcCommand("m"))]
