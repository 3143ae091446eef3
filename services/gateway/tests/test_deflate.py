"""permessage-deflate: what is negotiated, what is sent, and what a client may send."""

from __future__ import annotations

import json
import zlib
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
import websockets
from hypothesis import given
from hypothesis import strategies as st

from warren_gateway.adapters.deflate import SMALLEST, accept, deflated, inflated
from warren_gateway.adapters.frames import FrameError, FrameReader, Opcode, frame
from warren_gateway.adapters.framing import DEFLATED_JSON_FRAMING

from .socket_client import until
from .socket_fakes import RunningGateway, loopback, running_gateway

PLAIN = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
BIG = {"text": "the quick brown fox " * 50}


@pytest.mark.parametrize(
    ("offers", "answer"),
    [
        ("permessage-deflate", PLAIN),
        ("permessage-deflate; client_max_window_bits", PLAIN),
        ("Permessage-Deflate;client_max_window_bits=10;server_no_context_takeover", PLAIN),
        ('permessage-deflate; client_max_window_bits="12"', PLAIN),
        ("permessage-deflate; server_max_window_bits=15", f"{PLAIN}; server_max_window_bits=15"),
        ("permessage-deflate; server_max_window_bits=10, permessage-deflate", PLAIN),
        ("x-webkit-deflate-frame, permessage-deflate", PLAIN),
        ("permessage-deflate; server_max_window_bits=10", None),
        ("permessage-deflate; server_max_window_bits", None),
        ("permessage-deflate; client_max_window_bits=7", None),
        ("permessage-deflate; client_max_window_bits=16", None),
        ("permessage-deflate; server_no_context_takeover=1", None),
        ("permessage-deflate; server_no_context_takeover; server_no_context_takeover", None),
        ("permessage-deflate; unknown", None),
        ("permessage-deflate; =", None),
        ("permessage-bzip2", None),
        ("", None),
        (",;,;=", None),
    ],
)
def test_what_is_answered_to_offers(offers: str, answer: str | None) -> None:
    assert accept(offers) == answer


def masked(first: int, payload: bytes) -> bytes:
    whole = bytearray(frame(first, payload))
    whole[1] |= 0x80
    header = {126: 4, 127: 10}.get(whole[1] & 0x7F, 2)
    return bytes(whole[:header]) + bytes(4) + bytes(whole[header:])


def compressed(payload: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return (compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


def read(data: bytes, limit: int = 100_000) -> list[tuple[int, bytes]]:
    reader = FrameReader(limit, inflated)
    reader.feed(data)
    return list(iter(reader.next, None))


@given(st.binary(max_size=2000) | st.integers(1, 200).map(lambda times: b"abcdefgh" * times))
def test_what_is_compressed_is_read_as_it_was(payload: bytes) -> None:
    sent = deflated(Opcode.BINARY, payload)
    assert len(sent) <= len(frame(Opcode.BINARY, payload))
    assert len(payload) >= SMALLEST or sent == frame(Opcode.BINARY, payload)
    first, header = sent[0], {126: 4, 127: 10}.get(sent[1] & 0x7F, 2)
    assert read(masked(first & 0x7F, sent[header:])) == [(Opcode.BINARY, payload)]


@given(st.binary(max_size=300), st.integers(1, 5))
def test_a_compressed_message_may_come_in_fragments_with_pings_between(payload: bytes, pieces: int) -> None:
    body = compressed(payload)
    size = len(body) // pieces + 1
    parts = [body[start : start + size] for start in range(0, len(body), size)] or [b""]
    frames = bytearray()
    for index, part in enumerate(parts):
        whole = bytearray(masked(0x40 | Opcode.TEXT if index == 0 else Opcode.CONTINUATION, part))
        if index < len(parts) - 1:
            whole[0] &= 0x7F
        frames += whole + masked(Opcode.PING, b"p")
    messages = [each for each in read(bytes(frames)) if each[0] != Opcode.PING]
    assert messages == [(Opcode.TEXT, payload)]


def test_compressed_and_plain_messages_may_follow_one_another() -> None:
    frames = masked(0x41, compressed(b"a" * 300)) + masked(0x01, b"plain") + masked(0x41, compressed(b"b"))
    assert [payload for _, payload in read(frames)] == [b"a" * 300, b"plain", b"b"]


def test_a_bomb_is_refused_without_being_inflated() -> None:
    bomb = compressed(bytes(50_000_000))
    assert len(bomb) < 60_000
    with pytest.raises(FrameError) as raised:
        read(masked(0x41, bomb))
    assert raised.value.code == 1009


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        (masked(0x41, b"\xff\xff\xff\xff"), 1007),
        (masked(0x49, b""), 1002),
        (masked(0x40, b""), 1002),
        (masked(0x61, b""), 1002),
        (masked(0x21, b""), 1002),
    ],
)
def test_what_is_against_the_extension_is_refused(frames: bytes, code: int) -> None:
    with pytest.raises(FrameError) as raised:
        read(frames)
    assert raised.value.code == code


def test_without_the_extension_no_message_may_be_compressed() -> None:
    reader = FrameReader(1000)
    reader.feed(masked(0x41, compressed(b"a")))
    with pytest.raises(FrameError) as raised:
        reader.next()
    assert raised.value.code == 1002


@given(st.binary(max_size=200))
def test_whatever_is_said_to_be_compressed_is_read_or_refused(payload: bytes) -> None:
    try:
        found = read(masked(0x41, payload), limit=1000)
    except FrameError as error:
        assert error.code in {1002, 1007, 1009}
    else:
        assert all(len(message) <= 1000 for _, message in found)


async def follow(gateway: RunningGateway, socket: Any) -> None:
    """Connect and subscribe, with a command that is worth compressing."""
    await socket.send(json.dumps({"id": 1, "connect": {"name": "x" * 500}}))
    assert "connect" in json.loads(await socket.recv())
    await socket.send(json.dumps({"id": 2, "subscribe": {"channel": "live:a"}}))
    assert "subscribe" in json.loads(await socket.recv())
    await until(lambda: gateway.channels.num_subscribers("live:a") >= 1)


async def test_clients_that_offer_it_send_and_receive_compressed_and_others_plain() -> None:
    door = replace(loopback(), compression=True)
    async with (
        running_gateway(door=door) as gateway,
        websockets.connect(gateway.url, compression="deflate", proxy=None) as one,
        websockets.connect(gateway.url, compression=None, proxy=None) as other,
        aiohttp.ClientSession() as http,
        http.ws_connect(gateway.url, compress=15) as third,
    ):
        assert (one.protocol.extensions != [], other.protocol.extensions) == (True, [])
        await follow(gateway, one)
        await follow(gateway, other)
        await third.send_str(
            json.dumps({"id": 1, "connect": {}}) + "\n" + json.dumps({"id": 2, "subscribe": {"channel": "live:a"}})
        )
        await third.receive_str()
        await third.receive_str()
        await until(lambda: gateway.channels.num_subscribers("live:a") == 3)
        gateway.channels.publish("live:a", json.dumps(BIG).encode())
        for message in (await one.recv(), await other.recv(), await third.receive_str()):
            assert json.loads(message)["push"]["pub"]["data"] == BIG


async def test_it_is_off_unless_it_is_switched_on() -> None:
    async with running_gateway() as gateway, websockets.connect(gateway.url, compression="deflate", proxy=None) as one:
        assert one.protocol.extensions == []
        await follow(gateway, one)


def test_messages_written_together_are_frames_of_their_own() -> None:
    messages = [json.dumps(BIG).encode(), b"{}"]
    packed = DEFLATED_JSON_FRAMING.pack(messages)
    assert packed == deflated(Opcode.TEXT, messages[0]) + frame(Opcode.TEXT, b"{}")
    assert len(packed) < len(messages[0]) / 4
