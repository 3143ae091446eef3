"""The lane's codec says the same as pamqp, however frames are cut, and survives whatever it is fed."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import base, body, commands, frame, header, heartbeat

from warren_shared.messaging.lane import encoder
from warren_shared.messaging.lane.decoder import Confirmed, Decoder, Event, Returned
from warren_shared.messaging.lane.encoder import Encoder
from warren_shared.messaging.lane.errors import FrameError
from warren_shared.messaging.port import Delivery, Outgoing, UnsendableMessageError

FRAME_MAX = 4096
FUZZ_CASES = int(os.environ.get("WARREN_FUZZ_CASES", "5000"))
SHORT = st.text(max_size=60)
VALUES = st.one_of(
    st.text(max_size=40),
    st.integers(-(2**63), 2**63 - 1),
    st.booleans(),
    st.none(),
    st.floats(allow_nan=False, width=32),
)
HEADERS = st.dictionaries(st.text(min_size=1, max_size=30), VALUES, max_size=6)
MESSAGES = st.builds(
    Outgoing,
    exchange=st.from_regex(r"[a-zA-Z0-9_.:-]{0,60}", fullmatch=True),
    routing_key=SHORT,
    body=st.binary(max_size=3 * FRAME_MAX),
    headers=HEADERS,
    message_id=st.none() | SHORT,
    type=st.none() | SHORT,
    content_type=SHORT,
    persistent=st.booleans(),
    correlation_id=st.none() | SHORT,
    reply_to=st.none() | SHORT,
    expiration_ms=st.none() | st.integers(0, 10**9),
)


def read_by_pamqp(data: bytes) -> Iterator[tuple[int, Any]]:
    while data:
        used, number, each = frame.unmarshal(data)
        yield number, each
        data = data[used:]


def written_by_pamqp(number: int, method: base.Frame, properties: commands.Basic.Properties, content: bytes) -> bytes:
    parts = [frame.marshal(method, number)]
    parts.append(frame.marshal(header.ContentHeader(0, len(content), properties), number))
    step = FRAME_MAX - 8
    parts += [frame.marshal(body.ContentBody(content[at : at + step]), number) for at in range(0, len(content), step)]
    return b"".join(parts)


def fed(data: bytes, cuts: list[int]) -> list[tuple[int, Any]]:
    """Return what was decoded, each delivery for itself."""
    decoder, events = Decoder(FRAME_MAX), list[tuple[int, Event]]()
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    for start, end in pairwise(places):
        events += decoder.feed(data[start:end])
        assert decoder._held_size <= len(data)
    return [(number, each) for number, event in events for each in (event if isinstance(event, list) else [event])]


@given(MESSAGES, st.integers(1, 2047))
def test_what_is_encoded_is_what_pamqp_reads(message: Outgoing, number: int) -> None:
    frames = list(read_by_pamqp(Encoder(FRAME_MAX).publish(number, message)))

    assert {each for each, _ in frames} == {number}
    publish, content_header, *bodies = [each for _, each in frames]
    assert (publish.exchange, publish.routing_key, publish.mandatory) == (message.exchange, message.routing_key, False)
    properties = content_header.properties
    assert (properties.headers or {}) == dict(message.headers)
    assert properties.delivery_mode == (2 if message.persistent else 1)
    assert (properties.message_id, properties.message_type) == (message.message_id, message.type)
    assert (properties.correlation_id, properties.reply_to) == (message.correlation_id, message.reply_to)
    assert properties.content_type == message.content_type
    assert properties.expiration == (None if message.expiration_ms is None else str(message.expiration_ms))
    assert content_header.body_size == len(message.body)
    assert b"".join(each.value for each in bodies) == message.body
    assert all(len(each.value) <= FRAME_MAX - 8 for each in bodies)


@given(MESSAGES, st.integers(0, 2**63 - 1), st.booleans(), st.lists(st.integers(0, 10**6), max_size=8))
def test_what_pamqp_writes_is_what_is_decoded_however_it_is_cut(
    message: Outgoing, tag: int, redelivered: bool, cuts: list[int]
) -> None:
    properties = commands.Basic.Properties(
        headers=dict(message.headers) or None,
        message_id=message.message_id,
        message_type=message.type,
        content_type=message.content_type,
        content_encoding="identity",
        delivery_mode=2,
        priority=3,
        correlation_id=message.correlation_id,
        reply_to=message.reply_to,
        expiration="5",
        user_id="somebody",
        app_id="app",
    )
    deliver = commands.Basic.Deliver("tag", tag, redelivered, message.exchange, message.routing_key)
    data = written_by_pamqp(3, deliver, properties, message.body) + frame.marshal(heartbeat.Heartbeat(), 0)

    ((number, got),) = fed(data * 2, cuts)[1:]

    assert number == 3
    assert isinstance(got, Delivery)
    assert (got.exchange, got.routing_key, got.body) == (message.exchange, message.routing_key, message.body)
    assert dict(got.headers) == dict(message.headers)
    texts = (got.message_id, got.type, got.content_type, got.correlation_id, got.reply_to)
    sent = (message.message_id, message.type, message.content_type, message.correlation_id, message.reply_to)
    assert texts == tuple(text or None for text in sent)  # pamqp leaves empty ones out
    assert (got.tag, got.redelivered) == (tag, redelivered)


@given(st.integers(0, 2**63 - 1), st.booleans(), st.booleans(), st.lists(st.integers(0, 100), max_size=4))
def test_confirms_are_decoded(tag: int, multiple: bool, positive: bool, cuts: list[int]) -> None:
    method = commands.Basic.Ack(tag, multiple) if positive else commands.Basic.Nack(tag, multiple)

    assert fed(frame.marshal(method, 1), cuts) == [(1, Confirmed(tag, multiple, positive))]


@given(st.integers(0, 2**63 - 1), st.booleans(), st.integers(1, 2047))
def test_acks_are_what_pamqp_reads(tag: int, multiple: bool, number: int) -> None:
    ((got_number, got),) = read_by_pamqp(encoder.ack(number, tag, multiple=multiple))

    assert (got_number, got.delivery_tag, got.multiple) == (number, tag, multiple)


def test_a_returned_message_comes_with_its_reason() -> None:
    method = commands.Basic.Return(312, "NO_ROUTE", "amq.topic", "a.b")
    data = written_by_pamqp(1, method, commands.Basic.Properties(message_id="m"), b"body")

    ((number, got),) = fed(data, [])

    assert isinstance(got, Returned)
    assert (number, got.code, got.text) == (1, 312, "NO_ROUTE")
    assert (got.delivery.exchange, got.delivery.routing_key, got.delivery.body) == ("amq.topic", "a.b", b"body")


def test_methods_that_are_rare_are_pamqps() -> None:
    ((number, got),) = fed(frame.marshal(commands.Channel.Close(404, "NOT_FOUND", 60, 40), 7), [3, 9])

    assert isinstance(got, commands.Channel.Close)
    assert (number, got.reply_code, got.reply_text) == (7, 404, "NOT_FOUND")


def test_an_empty_body_is_a_message_too() -> None:
    method = commands.Basic.Deliver("t", 1, False, "x", "k")

    ((_, got),) = fed(written_by_pamqp(1, method, commands.Basic.Properties(), b""), [])

    assert isinstance(got, Delivery)
    assert (got.body, dict(got.headers)) == (b"", {})


def test_contents_of_several_amqp_channels_may_be_interleaved() -> None:
    one, two = (
        list(
            read_by_pamqp(
                written_by_pamqp(
                    number,
                    commands.Basic.Deliver("t", number, False, "x", "k"),
                    commands.Basic.Properties(),
                    b"%d" % number,
                )
            )
        )
        for number in (1, 2)
    )
    mixed = b"".join(frame.marshal(each, number) for pair in zip(one, two, strict=True) for number, each in pair)

    events = fed(mixed, [])

    assert [(number, event.body) for number, event in events] == [(1, b"1"), (2, b"2")]


def test_deliveries_that_arrive_together_come_as_one_list_for_each_amqp_channel_in_turn() -> None:
    messages = b"".join(
        written_by_pamqp(
            number,
            commands.Basic.Deliver("t", tag, False, "x", "k"),
            commands.Basic.Properties(headers={"n": tag}),
            b"body",
        )
        for tag, number in enumerate((1, 1, 2, 1), 1)
    )

    events = Decoder(FRAME_MAX).feed(messages + messages[:-1])

    lists = [(number, [delivery.tag for delivery in event]) for number, event in events if isinstance(event, list)]
    assert lists == [(1, [1, 2]), (2, [3]), (1, [4, 1, 2]), (2, [3])]


TRAFFIC = st.lists(
    st.tuples(
        st.sampled_from(("deliver", "deliver", "deliver", "ack", "heartbeat", "return", "rare")),
        st.integers(1, 3),
        st.binary(max_size=30) | st.just(b"") | st.just(b"x" * (FRAME_MAX - 8)) | st.just(b"y" * 2 * FRAME_MAX),
        HEADERS,
    ),
    max_size=12,
)


def _written(what: str, number: int, content: bytes, headers: Mapping[str, Any], tag: int) -> bytes:
    properties = commands.Basic.Properties(headers=dict(headers) or None, message_id=str(tag))
    match what:
        case "deliver":
            return written_by_pamqp(number, commands.Basic.Deliver("t", tag, False, "x", "k"), properties, content)
        case "return":
            return written_by_pamqp(number, commands.Basic.Return(312, "NO_ROUTE", "x", "k"), properties, content)
        case "ack":
            return frame.marshal(commands.Basic.Ack(tag, True), number)
        case "rare":
            return frame.marshal(commands.Basic.ConsumeOk("t"), number)
        case _:
            return frame.marshal(heartbeat.Heartbeat(), 0)


def _said(events: list[tuple[int, Any]]) -> list[tuple[object, ...]]:
    """Return what can be compared: deliveries with their tags, methods with their arguments."""
    return [
        (number, each, each.tag)
        if isinstance(each, Delivery)
        else (number, dict(each) if isinstance(each, base.Frame) else each)
        for number, each in events
    ]


@given(TRAFFIC, st.lists(st.integers(0, 10**6), max_size=6))
def test_a_stream_says_the_same_however_it_is_cut(
    traffic: list[tuple[str, int, bytes, Mapping[str, Any]]], cuts: list[int]
) -> None:
    data = b"".join(_written(*each, tag) for tag, each in enumerate(traffic, 1))

    whole = _said(fed(data, []))

    assert len(whole) == sum(what != "heartbeat" for what, *_ in traffic)
    assert _said(fed(data, cuts)) == whole
    assert _said(fed(data, list(range(0, len(data), 1 + len(data) // 1000)))) == whole


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x01\x00\x01" + (FRAME_MAX + 1).to_bytes(4, "big") + b"\x00", "agreed on"),
        (b"\x01\x00\x01\x00\x00\x00\x04\x00\x3c\x00\x3c\x00", "does not end"),
        (b"\x07\x00\x01\x00\x00\x00\x00\xce", "unknown type 7"),
        (b"\x01\x00\x01\x00\x00\x00\x00\xce", "without a method"),
        (b"\x01\x00\x01\x00\x00\x00\x04\x00\xff\x00\xff\xce", "no method that brokers send"),
        (b"\x01\x00\x01\x00\x00\x00\x05\x00\x14\x00\x28\xff\xce", "cannot be read"),
        (b"\x01\x00\x01\x00\x00\x00\x04\x00\x3c\x00\x3c\xce", "malformed"),
        (b"\x02\x00\x01\x00\x00\x00\x00\xce", "without a message"),
        (b"\x03\x00\x01\x00\x00\x00\x00\xce", "without a content header"),
    ],
)
def test_what_is_no_amqp_is_a_typed_error(data: bytes, reason: str) -> None:
    with pytest.raises(FrameError, match=reason):
        Decoder(FRAME_MAX).feed(data)


def test_a_body_longer_than_announced_and_one_beyond_every_bound_are_refused() -> None:
    deliver = frame.marshal(commands.Basic.Deliver("t", 1, False, "x", "k"), 1)
    small = frame.marshal(header.ContentHeader(0, 1, commands.Basic.Properties()), 1)
    huge = frame.marshal(header.ContentHeader(0, 2**40, commands.Basic.Properties()), 1)

    with pytest.raises(FrameError, match="longer than was announced"):
        Decoder(FRAME_MAX).feed(deliver + small + frame.marshal(body.ContentBody(b"two"), 1))
    with pytest.raises(FrameError, match="1099511627776 bytes"):
        Decoder(FRAME_MAX).feed(deliver + huge)


DELIVER = frame.marshal(commands.Basic.Deliver("t", 1, False, "x", "k"), 1)
CONTENT = frame.marshal(header.ContentHeader(0, 4, commands.Basic.Properties()), 1)
BODY = frame.marshal(body.ContentBody(b"body"), 1)
LONG = b"x" * (FRAME_MAX - 7)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x08" + DELIVER[1:] + CONTENT + BODY, "without a message"),
        (DELIVER + b"\x02\x00\x01\x00\x00\x00\x0c" + CONTENT[7:19] + b"\xce" + BODY, "without flags"),
        (DELIVER + CONTENT + DELIVER + CONTENT + BODY, "before a content was complete"),
        (
            DELIVER
            + frame.marshal(header.ContentHeader(0, len(LONG), commands.Basic.Properties()), 1)
            + frame.marshal(body.ContentBody(LONG), 1),
            f"{len(LONG)} bytes; {FRAME_MAX} were agreed on",
        ),
    ],
)
@pytest.mark.parametrize("before", [b"", DELIVER + CONTENT + BODY])
def test_three_whole_frames_that_are_no_delivery_are_refused(before: bytes, data: bytes, reason: str) -> None:
    with pytest.raises(FrameError, match=reason):
        fed(before + data, [])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"routing_key": "k" * 256}, "at most 255 bytes"),
        ({"message_id": "é" * 128}, "at most 255 bytes"),
        ({"headers": {"n" * 256: 1}}, "longer than 255"),
        ({"headers": {"a": 2**64}}, "cannot be encoded"),
        ({"headers": {"a": object()}}, "cannot be encoded"),
        ({"headers": {"a": "x" * FRAME_MAX}}, "one frame"),
        ({"headers": {"a": "\ud800"}}, "cannot be encoded"),
    ],
)
def test_what_amqp_cannot_carry_is_unsendable(change: Mapping[str, Any], reason: str) -> None:
    fields: dict[str, Any] = {"exchange": "x", "routing_key": "k", "body": b"", **change}

    with pytest.raises(UnsendableMessageError, match=reason):
        Encoder(FRAME_MAX).publish(1, Outgoing(**fields))


def test_a_stream_that_was_tampered_with_is_read_or_refused_the_same_however_it_is_cut_and_never_hangs() -> None:
    chance = random.Random(20261125)  # noqa: S311 - tests want the same numbers each time
    whole = [_sample(chance) for _ in range(50)]
    read = refused = 0
    for _ in range(FUZZ_CASES):
        data = bytearray(chance.choice(whole) + chance.choice(whole))
        for _ in range(chance.randint(1, 4)):
            _tamper(data, chance)
        said = _outcome(bytes(data), [])
        assert _outcome(bytes(data), [chance.randrange(len(data))]) == said
        read += said is not None
        refused += said is None
    assert min(read, refused) > FUZZ_CASES / 100


def _outcome(data: bytes, cuts: list[int]) -> str | None:
    """Return what was said, looked into to the last property; None if it is no AMQP."""
    try:
        return repr(_said(fed(data, cuts)))
    except FrameError:
        return None


def _sample(chance: random.Random) -> bytes:
    kind = chance.randrange(4)
    if kind == 0:
        return frame.marshal(commands.Basic.Ack(chance.getrandbits(40), multiple=True), 1)
    if kind == 1:
        return frame.marshal(commands.Channel.Close(404, "gone", 60, 40), 1)
    properties = commands.Basic.Properties(
        headers={"a": "text", "n": chance.getrandbits(30), "t": True, "list": [1, {"b": None}]},
        message_id=str(chance.random()),
        content_type="application/json",
    )
    method: base.Frame = commands.Basic.Deliver("tag", chance.getrandbits(20), False, "warren.deliver", "chat.a")
    if kind == 3:
        method = commands.Basic.Return(312, "NO_ROUTE", "x", "k")
    return written_by_pamqp(1, method, properties, bytes(chance.randrange(600)))


def _tamper(data: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(data))
    match chance.randrange(4):
        case 0:
            data[at] = chance.getrandbits(8)
        case 1:
            data[at] ^= 1 << chance.randrange(8)
        case 2:
            del data[at : at + chance.randint(1, 8)]
        case _:
            data[at:at] = bytes(chance.getrandbits(8) for _ in range(chance.randint(1, 8)))
    if not data:
        data.append(0)
