"""The JSON codec: what is a command, what is not, and how replies read."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from warren_gateway.domain import replies
from warren_gateway.domain.commands import TOO_DEEP, Command, PublishCommand, Request
from warren_gateway.domain.encoding import UndecodableError
from warren_gateway.domain.json_encoding import JSON
from warren_gateway.domain.requests import Subscribed
from warren_shared.contracts.codes import Errors, Unsubscribes
from warren_shared.contracts.history import Page, StoredPublication
from warren_shared.contracts.presence import Member, Members, Stats
from warren_shared.contracts.publication import Position

codec = JSON


def requests(frame: bytes) -> list[Request | None]:
    return [command.request for command in codec.decode(frame)]


def data_of(frame: bytes) -> bytes:
    (request,) = requests(frame)
    assert isinstance(request, PublishCommand)
    return request.data


@pytest.mark.parametrize(
    "payload",
    [
        b'{"a": 1.10, "b":123456789012345678901234567890}',
        b'{"z":1,"a":2, "z":3}',
        b'"\\u00e9\\/"',
        '"é"'.encode(),
        b"1e999",
        rb'"\ud83d"',
        rb'"\uDE00\ud83d"',
        rb'{"\ud83d":["\ud83d\ude00\udbff", "\\ud83d", "\ue000"]}',
        rb'"\\\ud83d"',
        b"-0.0",
        b"null",
        b"[]",
        b"[ 1 ,\t2 ]",
    ],
)
def test_payload_is_kept_byte_for_byte(payload: bytes) -> None:
    assert data_of(b'{"id":1,"publish":{"channel":"c","data":%b}}' % payload) == payload


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(json_values, st.sampled_from([None, 2]))
def test_any_json_payload_is_kept_byte_for_byte(value: object, indent: int | None) -> None:
    payload = json.dumps(value, indent=indent, ensure_ascii=True).replace("\n", " ").encode()
    assert data_of(b'{"publish":{"data":%b,"channel":"c"},"id":7}' % payload) == payload


@given(st.text(st.sampled_from('\ud83d\ude00\ue000\\u"a'), min_size=1), st.sampled_from(["data", "x"]))
def test_any_string_of_json_stringify_is_kept_byte_for_byte(text: str, other: str) -> None:
    payload = json.dumps([text, {text: "\\ud83d"}]).encode()
    if other == "data":
        assert data_of(b'{"id":1,"publish":{"channel":"c","data":%b}}' % payload) == payload
    else:
        assert data_of(b'{"id":1,"publish":{"channel":"c","x":%b,"data":[1]}}' % payload) == b"[1]"


@pytest.mark.parametrize(
    "template", ['{"id":7,"publish":{"data":%b,"channel":"c"}}', '{"publish":{"channel":"c","data":%b},"id":7}']
)
@pytest.mark.parametrize(
    "data",
    [
        b"[" * 20_000 + b"]" * 20_000,
        b'{"a":' * 9_000 + b'"]\\"}"' + b"}" * 9_000,
        b"[1," + b"[" * 5_000 + b"]" * 5_000 + b"," + b"[" * 5_000 + b"]" * 5_000 + b"]",
    ],
)
def test_data_nested_too_deep_to_be_decoded_is_a_publish_that_can_be_refused(data: bytes, template: str) -> None:
    (command,) = codec.decode(template.encode() % data)
    assert command == Command(7, PublishCommand("c", TOO_DEEP))


def test_what_is_nested_deep_where_nobody_looks_does_no_harm() -> None:
    deep = b"[" * 20_000 + b"]" * 20_000
    assert requests(b'{"id":1,"unsubscribe":{"channel":"a","x":%b}}' % deep) == requests(
        b'{"id":1,"unsubscribe":{"channel":"a"}}'
    )


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\n",
        b"\n{}",
        b"nonsense",
        b"[]",
        b'"text"',
        b"null",
        b"{} {}",
        b'{"id":-1}',
        b'{"id":4294967296}',
        b'{"id":"1"}',
        b'{"id":1.5}',
        b'{"id":1,"connect":[]}',
        b'{"id":1,"subscribe":{"channel":7}}',
        b'{"id":1,"subscribe":{"channel":"a","offset":-1}}',
        b'{"id":1,"subscribe":{"channel":"a","offset":99999999999999999999999}}',
        b'{"id":1,"publish":{"channel":"a","data":{"a":}}}',
        b'{"id":1,"publish":{"channel":"a","data":tru}}',
        b'{"id":1,"publish":{"channel":"a","data":"\xff"}}',
        b'{"id":1,"publish":{"channel":"a","data":%b}}' % (b"[" * 20_000),
        b'{"id":1,"publish":{"channel":"a","data":%b"\\ud800}}' % (b"[" * 2_000),
        b'{"id":1,"publish":{"channel":"a","data":"\\ud800}}',
        b'{"id":1,"publish":{"channel":"a","data":"\\ud800"}',
        b'{"id":1,"publish":{"channel":"a","x":"\\ud800","data":"\\ud801"}}',
        b'{"id":1,"publish":{"channel":"a","data":\\ud800}}',
        b'\xff\xfe{"id":1}',
        b'{"id":1,"connect":{}',
    ],
)
def test_what_is_no_command_is_undecodable(frame: bytes) -> None:
    with pytest.raises(UndecodableError):
        list(codec.decode(frame))


def test_commands_before_garbage_are_handed_over_first() -> None:
    commands = codec.decode(b'{"id":1,"ping":{}}\ngarbage\n{"id":2,"ping":{}}')
    assert next(commands).id == 1
    with pytest.raises(UndecodableError):
        next(commands)


def test_one_trailing_line_feed_is_no_command() -> None:
    assert len(requests(b'{"id":1,"ping":{}}\n{}\n')) == 2


@pytest.mark.parametrize("frame", [b"{}", b'{"id":0}', b'{"connect":null,"id":null}', b'{"unknown":{"a":1}}'])
def test_command_without_request_is_the_empty_command(frame: bytes) -> None:
    assert list(codec.decode(frame)) == [Command(0, None)]


def test_null_and_unknown_fields_count_as_absent() -> None:
    plain = requests(b'{"id":1,"subscribe":{"channel":"a"}}')
    assert plain == requests(
        b'{"id":1,"connect":null,"subscribe":{"channel":"a","token":null,"epoch":null,"offset":null,"x":[1]}}'
    )


def test_first_request_of_the_protocol_wins() -> None:
    (request,) = requests(b'{"id":1,"publish":{"channel":"p","data":1},"unsubscribe":{"channel":"u"}}')
    assert type(request).__name__ == "UnsubscribeCommand"


@given(st.binary(max_size=200))
@example(b'{"id":1,"connect":{"headers":{"a":1}}}')
def test_any_bytes_decode_or_are_undecodable(frame: bytes) -> None:
    with suppress(UndecodableError):
        assert all(isinstance(command, Command) for command in codec.decode(frame))


EMPTY = replies.SubscribeResult(Subscribed())
RECOVERED = replies.SubscribeResult(
    Subscribed(Position("e", 3), was_recovering=True, recovered=True, publications=(b'{"data":1.0,"offset":4}',)),
    recoverable=True,
    positioned=True,
)


def connect_reply(
    *, ttl: int | None = None, ping: int = 25, subs: dict[str, replies.SubscribeResult] | None = None
) -> replies.ConnectReply:
    return replies.ConnectReply(
        1, "c", "v", "n", "s", ping=ping, pong=ping > 0, ttl=ttl, subs={} if subs is None else subs
    )


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (
            replies.ErrorReply(3, Errors.INTERNAL),
            '{"id":3,"error":{"code":100,"message":"internal server error","temporary":true}}',
        ),
        (
            replies.ErrorReply(3, Errors.PERMISSION_DENIED),
            '{"id":3,"error":{"code":103,"message":"permission denied"}}',
        ),
        (replies.EmptyReply(3, replies.EmptyResult.UNSUBSCRIBE), '{"id":3,"unsubscribe":{}}'),
        (replies.EmptyReply(4, replies.EmptyResult.PUBLISH), '{"id":4,"publish":{}}'),
        (replies.SubscribeReply(5, EMPTY), '{"id":5,"subscribe":{}}'),
        (
            replies.SubscribeReply(5, RECOVERED),
            (
                '{"id":5,"subscribe":{"recoverable":true,"positioned":true,"epoch":"e","offset":3,'
                '"publications":[{"data":1.0,"offset":4}],"was_recovering":true,"recovered":true}}'
            ),
        ),
        (
            replies.SubscribeReply(5, replies.SubscribeResult(Subscribed(Position("e", 0)), positioned=True)),
            '{"id":5,"subscribe":{"positioned":true,"epoch":"e"}}',
        ),
        (
            replies.SubscribeReply(5, replies.SubscribeResult(Subscribed(Position("e", 9)))),
            '{"id":5,"subscribe":{}}',
        ),
        (
            connect_reply(),
            '{"id":1,"connect":{"client":"c","version":"v","ping":25,"pong":true,"session":"s","node":"n"}}',
        ),
        (
            connect_reply(ttl=30, ping=0, subs={"a": EMPTY}),
            (
                '{"id":1,"connect":{"client":"c","version":"v","expires":true,"ttl":30,"subs":{"a":{}},'
                '"session":"s","node":"n"}}'
            ),
        ),
        (replies.RefreshReply(6, "c", "v"), '{"id":6,"refresh":{"client":"c","version":"v"}}'),
        (
            replies.RefreshReply(6, "c", "v", 9),
            '{"id":6,"refresh":{"client":"c","version":"v","expires":true,"ttl":9}}',
        ),
        (replies.PresenceReply(7, Members()), '{"id":7,"presence":{"presence":{}}}'),
        (
            replies.PresenceReply(7, Members(members=(Member(client="x", conn_info='{"a":\n1.0}'),))),
            '{"id":7,"presence":{"presence":{"x":{"user":"","client":"x","conn_info":{"a":1.0}}}}}',
        ),
        (
            replies.PresenceReply(7, Members(members=(Member(client="x", user="u", chan_info="no json"),))),
            '{"id":7,"presence":{"presence":{"x":{"user":"u","client":"x"}}}}',
        ),
        (replies.PresenceStatsReply(8, Stats()), '{"id":8,"presence_stats":{"num_clients":0,"num_users":0}}'),
        (
            replies.HistoryReply(9, Page(epoch="", top=0)),
            '{"id":9,"history":{"publications":[],"epoch":"","offset":0}}',
        ),
        (
            replies.HistoryReply(
                9, Page(epoch="e", top=2, publications=(StoredPublication(offset=2, data="1.0", time=5),))
            ),
            '{"id":9,"history":{"publications":[{"data":1.0,"offset":2,"time":5}],"epoch":"e","offset":2}}',
        ),
        (
            replies.UnsubscribePush("a", Unsubscribes.INSUFFICIENT_STATE),
            '{"push":{"channel":"a","unsubscribe":{"code":2500,"reason":"insufficient state"}}}',
        ),
        (replies.Ping(), "{}"),
    ],
)
def test_reply_leaves_out_exactly_what_the_protocol_lets_it(reply: replies.Reply, expected: str) -> None:
    assert codec.encode(reply).decode() == expected


@given(st.text(), st.text(), st.text())
def test_no_text_breaks_a_reply_or_its_line(channel: str, user: str, epoch: str) -> None:
    makers: list[Callable[[], replies.Reply]] = [
        lambda: replies.UnsubscribePush(channel, Unsubscribes.SERVER),
        lambda: replies.PresenceReply(1, Members(members=(Member(client=channel, user=user, conn_info=epoch),))),
        lambda: replies.HistoryReply(1, Page(epoch=epoch, top=1)),
    ]
    for make in makers:
        encoded = codec.encode(make())
        assert isinstance(json.loads(encoded), dict)
        assert b"\n" not in encoded
