"""Replies and pushes in Protobuf, as the generated classes read them: they say what those in JSON say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from warren_gateway.domain import replies
from warren_gateway.domain.client_info import client_info
from warren_gateway.domain.encoding import NOTHING, InappropriateError, UnencodableError
from warren_gateway.domain.json_encoding import JSON
from warren_gateway.domain.protobuf import client_pb2 as pb
from warren_gateway.domain.protobuf.encoding import PROTOBUF
from warren_gateway.domain.protobuf.wire import delimited
from warren_gateway.domain.publications import Publication
from warren_gateway.domain.requests import CallResult, Subscribed
from warren_shared.contracts.codes import Disconnects, ErrorCode, Unsubscribe
from warren_shared.contracts.history import Page, StoredPublication
from warren_shared.contracts.presence import Member, Members, Stats
from warren_shared.contracts.publication import Position

from .protobuf_client import replies_in

U32, U64, I63 = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1), st.integers(0, 2**63 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
KEY = TEXT.map("~{}".format)
"""A key of a map; none is taken for the name of a field."""
TTL = st.none() | st.integers(1, 2**32 - 1)
DOCUMENT = st.recursive(st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT, st.lists, max_leaves=5).map(
    lambda value: orjson.dumps(value).decode()
)
INFO = st.builds(lambda **fields: client_info(Member(**fields)), client=TEXT, user=TEXT, conn_info=st.none() | DOCUMENT)
TAGS = st.none() | st.dictionaries(KEY, TEXT, min_size=1, max_size=2)
PUBLICATION = st.builds(Publication, DOCUMENT.map(str.encode), I63, st.none() | INFO, TAGS, I63)
SUBSCRIBED = st.builds(
    Subscribed,
    st.none() | st.builds(Position, TEXT, U64),
    st.booleans(),
    st.booleans(),
    st.lists(PUBLICATION, max_size=3),
)
"""With publications that are not encoded yet."""
SUBSCRIPTION = st.builds(
    replies.SubscribeResult, SUBSCRIBED, st.booleans(), st.booleans(), TTL, st.none() | DOCUMENT.map(str.encode)
)
CONNECT = st.builds(
    replies.ConnectReply,
    id=U32,
    client=TEXT,
    version=TEXT,
    node=TEXT,
    session=TEXT,
    ping=U32,
    pong=st.just(value=True),
    ttl=TTL,
    subs=st.dictionaries(KEY, SUBSCRIPTION, max_size=2),
)
STORED = st.builds(
    StoredPublication,
    offset=st.integers(1, 2**63 - 1),
    data=DOCUMENT,
    info=st.none() | INFO.map(bytes.decode),
    tags=st.dictionaries(KEY, TEXT, max_size=2),
    time=I63,
)
PAGE = st.builds(Page, epoch=TEXT, top=I63, publications=st.lists(STORED, max_size=3).map(tuple))
MEMBER = st.builds(Member, client=KEY, user=TEXT, conn_info=st.none() | DOCUMENT, chan_info=DOCUMENT | st.just("{"))
FRESH = SUBSCRIPTION.map(
    lambda result: replace(
        result, ttl=None, subscribed=replace(result.subscribed, publications=(), was_recovering=False, recovered=False)
    )
)
"""As a backend orders it: nobody recovers, and nothing expires."""
REPLIES: st.SearchStrategy[replies.Reply] = st.one_of(
    st.builds(replies.ErrorReply, U32, st.builds(ErrorCode, U32, TEXT, st.booleans())),
    st.builds(replies.EmptyReply, U32, st.sampled_from(replies.EmptyResult)),
    CONNECT,
    st.builds(replies.SubscribeReply, U32, SUBSCRIPTION),
    st.builds(replies.RefreshReply, U32, TEXT, TEXT, TTL),
    st.builds(replies.PresenceReply, U32, st.builds(Members, members=st.lists(MEMBER, max_size=3).map(tuple))),
    st.builds(replies.PresenceStatsReply, U32, st.builds(Stats, clients=U32, users=U32)),
    st.builds(replies.HistoryReply, U32, PAGE),
    st.builds(replies.SubRefreshReply, U32, TTL),
    st.builds(replies.RpcReply, U32, st.builds(CallResult, DOCUMENT.map(str.encode))),
    st.builds(replies.UnsubscribePush, TEXT, st.builds(Unsubscribe, U32, TEXT)),
    st.builds(replies.SubscribePush, TEXT, FRESH),
    st.builds(replies.RefreshPush, U32),
    st.just(replies.Ping()),
)
WHOLE = {"data", "conn_info", "chan_info", "tags"}


def encoded(reply: replies.Reply, encoding: Any) -> bytes:
    """Return the reply to a client of the encoding, with the publications it recovers in that encoding too."""

    def result(of: Any) -> Any:
        publications = tuple(map(encoding.publication, of.subscribed.publications))
        return replace(of, subscribed=replace(of.subscribed, publications=publications))

    match reply:
        case replies.SubscribeReply():
            reply = replace(reply, result=result(reply.result))
        case replies.ConnectReply():
            reply = replace(reply, subs={channel: result(sub) for channel, sub in reply.subs.items()})
    message: bytes = encoding.encode(reply)
    return message


def plain(message: Any) -> Any:
    """Return a message as JSON has it, with what is JSON in bytes read."""
    if not isinstance(message, Message):
        return orjson.loads(message) if isinstance(message, bytes) else message
    read: dict[str, Any] = {}
    for described, value in message.ListFields():
        if described.message_type is not None and described.message_type.GetOptions().map_entry:
            read[described.name] = {key: plain(each) for key, each in value.items()}
        elif described.is_repeated:
            read[described.name] = [plain(each) for each in value]
        else:
            read[described.name] = plain(value)
    return read


def pruned(document: Any) -> Any:
    """Leave out what is empty or zero, as Protobuf does; payloads, tags, and what is there but empty, are kept."""
    if isinstance(document, list):
        return [pruned(each) for each in document]
    if not isinstance(document, dict):
        return document
    return {
        key: value if key in WHOLE else pruned(value)
        for key, value in document.items()
        if key in WHOLE or value or isinstance(value, dict)
    }


@given(REPLIES)
def test_a_reply_says_what_the_one_in_json_says(reply: replies.Reply) -> None:
    read = plain(pb.Reply.FromString(encoded(reply, PROTOBUF)))
    if isinstance(reply, replies.PresenceReply) and not reply.members.members:
        assert read["presence"] == {}, "there, because SDKs look for it"
        read["presence"] = {"presence": {}}
    assert read == pruned(orjson.loads(encoded(reply, JSON)))


@given(KEY, PUBLICATION, INFO)
def test_a_push_says_what_the_one_in_json_says(channel: str, publication: Publication, info: bytes) -> None:
    ours, json = PROTOBUF.head(channel), JSON.head(channel)
    pairs = [
        (ours.publication(publication), json.publication(publication)),
        (ours.join(info), json.join(info)),
        (ours.leave(info), json.leave(info)),
    ]
    for protobuf, text in pairs:
        assert plain(pb.Reply.FromString(protobuf)) == pruned(orjson.loads(text))


@given(st.binary(max_size=300))
def test_bytes_of_a_binary_namespace_reach_who_speaks_protobuf_unchanged(payload: bytes) -> None:
    publication = Publication(payload, 7, binary=True)
    push = pb.Reply.FromString(PROTOBUF.head("bin:a").publication(publication)).push
    assert (push.channel, push.pub.data, push.pub.offset) == ("bin:a", payload, 7)
    assert pb.Publication.FromString(PROTOBUF.publication(publication)).data == payload


def test_a_reply_to_a_client_of_json_cannot_hold_bytes() -> None:
    bytes_alone = StoredPublication(offset=1, data="AAE=", binary=True)
    for reply in (
        replies.HistoryReply(1, Page(epoch="e", top=1, publications=(bytes_alone,))),
        replies.SubscribeReply(1, replies.SubscribeResult(Subscribed(publications=(NOTHING,)))),
    ):
        with pytest.raises(InappropriateError) as caught:
            JSON.encode(reply)
        assert caught.value.disconnect == Disconnects.INAPPROPRIATE_PROTOCOL


@pytest.mark.parametrize("info", [b'{"user":5}', b"[]", b'{"user":"\\ud800"}', b"{"])
def test_an_info_that_cannot_be_read_is_left_out_of_a_publication_and_makes_no_join(info: bytes) -> None:
    head = PROTOBUF.head("a:b")
    push = pb.Reply.FromString(head.publication(Publication(b"1", info=info))).push
    assert (push.pub.data, push.pub.HasField("info")) == (b"1", False)
    assert head.join(info) == head.leave(info) == NOTHING


@pytest.mark.parametrize(
    "reply",
    [
        replies.HistoryReply(1, Page(epoch="e", top=2**64)),
        replies.HistoryReply(1, Page(epoch="\ud800", top=1)),
        replies.PresenceStatsReply(1, Stats(clients=-1)),
    ],
)
def test_what_cannot_be_written_is_unencodable(reply: replies.Reply) -> None:
    with pytest.raises(UnencodableError) as caught:
        PROTOBUF.encode(reply)
    assert caught.value.disconnect == Disconnects.INTERNAL


@given(st.lists(st.integers(1, 70_000), min_size=1, max_size=4))
def test_messages_are_told_apart_by_their_lengths(sizes: list[int]) -> None:
    head = PROTOBUF.head("a:b")
    pushes = [delimited(head.publication(Publication(b"x" * size))) for size in sizes]
    assert [len(reply.push.pub.data) for reply in replies_in(b"".join(pushes))] == sizes
