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

from warren_shared.contracts.publication import UNREADABLE_HEADERS
from warren_shared.messaging.lane import encoder
from warren_shared.messaging.lane.decoder import Confirmed, Decoder, Event, Returned
from warren_shared.messaging.lane.encoder import Encoder
from warren_shared.messaging.lane.errors import FrameError
from warren_shared.messaging.lane.tables import LazyHeaders, decode_table
from warren_shared.messaging.port import Delivery, Outgoing, UnsendableMessageError

FRAME_MAX = 4096
FUZZ_CASES = int(os.environ.get("WARREN_FUZZ_CASES", "20000"))
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


def fed(data: bytes, cuts: list[int]) -> list[tuple[int, Event]]:
    decoder, events = Decoder(FRAME_MAX), []
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    for start, end in pairwise(places):
        events += decoder.feed(data[start:end])
    return events


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

    assert (number, type(got)) == (3, Delivery)
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

    assert [(number, event.body) for number, event in events if isinstance(event, Delivery)] == [(1, b"1"), (2, b"2")]


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


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"routing_key": "k" * 256}, "at most 255 bytes"),
        ({"message_id": "é" * 128}, "at most 255 bytes"),
        ({"headers": {"n" * 129: 1}}, "longer than 128"),
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


def test_headers_are_decoded_when_first_looked_at_and_only_then() -> None:
    lazy = LazyHeaders(b"\x01aT" + (2**63).to_bytes(8, "big"))

    assert lazy
    assert lazy._table is None
    assert dict(lazy) == {UNREADABLE_HEADERS: True}


@given(st.binary(max_size=80))
def test_no_table_raises(fields: bytes) -> None:
    assert isinstance(decode_table(fields), dict)


def test_a_stream_that_was_tampered_with_is_read_or_refused_and_never_hangs() -> None:
    chance = random.Random(20261125)  # noqa: S311 - tests want the same numbers each time
    whole = [_sample(chance) for _ in range(50)]
    read = refused = 0
    for _ in range(FUZZ_CASES):
        decoder = Decoder(FRAME_MAX)
        data = bytearray(chance.choice(whole) + chance.choice(whole))
        for _ in range(chance.randint(1, 4)):
            _tamper(data, chance)
        try:
            cut = chance.randint(0, len(data))
            decoder.feed(bytes(data[:cut]))
            decoder.feed(bytes(data[cut:]))
            read += 1
        except FrameError:
            refused += 1
        assert decoder._held_size <= FRAME_MAX + len(data)
    assert min(read, refused) > FUZZ_CASES / 100


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
