"""WebSocket frames: read as the websockets library writes them, written as it reads them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from google.protobuf.internal.encoder import _VarintBytes  # type: ignore[attr-defined]  # the stubs leave it out
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Close, Frame
from websockets.frames import Opcode as Theirs
from websockets.streams import StreamReader

from warren_gateway.adapters.frames import CloseCode, FrameError, FrameReader, Opcode, close_frame, frame
from warren_gateway.adapters.framing import JSON_FRAMING, PROTOBUF_FRAMING
from warren_gateway.ports import Framing


def masked(opcode: int, payload: bytes, *, final: bool = True) -> bytes:
    """Return a client's frame."""
    return Frame(Theirs(opcode), payload, fin=final).serialize(mask=True)


def read_all(data: bytes, *, limit: int = 65_536, step: int | None = None) -> list[tuple[int, bytes]]:
    reader, found = FrameReader(limit), []
    size = step or max(1, len(data))
    for start in range(0, len(data), size):
        reader.feed(data[start : start + size])
        while (message := reader.next()) is not None:
            found.append(message)
    return found


def parse_one(stream: StreamReader) -> Frame:
    parser = Frame.parse(stream.read_exact, mask=False)
    with pytest.raises(StopIteration) as end:
        next(parser)
    parsed = end.value.value
    assert isinstance(parsed, Frame)
    return parsed


sizes = st.sampled_from([0, 1, 125, 126, 127, 65_535, 65_536, 70_000])


@given(st.lists(st.binary(max_size=300), max_size=8), st.integers(1, 400))
def test_messages_are_read_however_the_network_cuts_them(payloads: list[bytes], step: int) -> None:
    data = b"".join(masked(Opcode.TEXT, payload) for payload in payloads)
    assert read_all(data, step=step) == [(Opcode.TEXT, payload) for payload in payloads]


@given(
    st.lists(st.lists(st.binary(max_size=60), min_size=1, max_size=5), min_size=1, max_size=4),
    st.integers(1, 100),
    st.booleans(),
)
def test_fragments_are_joined_and_control_frames_between_them_let_through(
    messages: list[list[bytes]], step: int, pings: bool
) -> None:
    data, expected = b"", []
    for fragments in messages:
        for position, fragment in enumerate(fragments):
            opcode = Opcode.CONTINUATION if position else Opcode.BINARY
            data += masked(opcode, fragment, final=position == len(fragments) - 1)
            if pings and position < len(fragments) - 1:
                data += masked(Opcode.PING, b"p")
                expected.append((Opcode.PING, b"p"))
        expected.append((Opcode.BINARY, b"".join(fragments)))
    assert read_all(data, step=step) == expected


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
def test_every_length_form_is_read(size: int) -> None:
    assert read_all(masked(Opcode.TEXT, b"x" * size)) == [(Opcode.TEXT, b"x" * size)]


def test_message_as_large_as_the_limit_passes() -> None:
    assert len(read_all(masked(Opcode.TEXT, b"x" * 1000), limit=1000)) == 1


@pytest.mark.parametrize(
    "data",
    [
        masked(Opcode.TEXT, b"x" * 1001),
        masked(Opcode.TEXT, b"x" * 1001)[:4],
        masked(Opcode.TEXT, b"x" * 600, final=False) + masked(Opcode.CONTINUATION, b"x" * 401),
        b"\x81\xff" + (2**63).to_bytes(8, "big"),
    ],
)
def test_message_over_the_limit_is_refused_before_it_is_held(data: bytes) -> None:
    with pytest.raises(FrameError) as error:
        read_all(data, limit=1000)
    assert error.value.code == CloseCode.MESSAGE_TOO_BIG


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(Frame(Theirs.TEXT, b"x").serialize(mask=False), id="not masked"),
        pytest.param(masked(Opcode.CONTINUATION, b"x"), id="continues nothing"),
        pytest.param(masked(Opcode.TEXT, b"x", final=False) + masked(Opcode.TEXT, b"y"), id="begins within a message"),
        pytest.param(b"\x09\x80\0\0\0\0", id="fragmented control frame"),
        pytest.param(b"\x89\xfe\x00\x7e" + b"\0" * 130, id="long control frame"),
        pytest.param(b"\xc1\x80\0\0\0\0", id="reserved bit"),
        pytest.param(b"\x83\x80\0\0\0\0", id="reserved opcode"),
        pytest.param(b"\x8b\x80\0\0\0\0", id="reserved control opcode"),
    ],
)
def test_what_the_rfc_forbids_is_a_protocol_error(data: bytes) -> None:
    with pytest.raises(FrameError) as error:
        read_all(data)
    assert error.value.code == CloseCode.PROTOCOL_ERROR


@given(st.binary(max_size=100), st.integers(1, 20))
def test_any_bytes_are_read_or_refused(data: bytes, step: int) -> None:
    try:
        read_all(data, limit=50, step=step)
    except FrameError as error:
        assert error.code in set(CloseCode)


def test_reader_keeps_nothing_of_what_was_read() -> None:
    reader = FrameReader(100)
    reader.feed(masked(Opcode.TEXT, b"x"))
    assert not reader.empty
    reader.next()
    assert reader.empty


@given(sizes, st.sampled_from([Opcode.TEXT, Opcode.BINARY]))
def test_frames_are_written_as_the_library_writes_them(size: int, opcode: Opcode) -> None:
    assert frame(opcode, b"x" * size) == Frame(Theirs(opcode), b"x" * size).serialize(mask=False)


@pytest.mark.parametrize("reason", ["", "shutdown", "x" * 123, "é" * 100])
def test_close_frame_holds_code_and_as_much_of_the_reason_as_fits(reason: str) -> None:
    stream = StreamReader()
    stream.feed_data(close_frame(3001, reason))
    close = Close.parse(parse_one(stream).data)
    assert close.code == 3001
    assert reason.startswith(close.reason)
    assert len(close.reason.encode()) >= min(len(reason.encode()), 122)


@given(st.lists(st.sampled_from([1, 125, 126, 65_536]).map(lambda size: b"x" * size), min_size=1, max_size=6))
def test_every_push_has_a_frame_of_its_own(pushes: list[bytes]) -> None:
    assert list(frames_in(JSON_FRAMING.pack(pushes))) == [(Theirs.TEXT, push) for push in pushes]


@given(st.lists(st.sampled_from([0, 1, 127, 128, 65_536]).map(lambda size: b"x" * size), min_size=1, max_size=6))
def test_in_protobuf_it_is_a_binary_frame_and_the_push_comes_behind_its_length(pushes: list[bytes]) -> None:
    delimited = [_VarintBytes(len(push)) + push for push in pushes]
    assert list(frames_in(PROTOBUF_FRAMING.pack(pushes))) == [(Theirs.BINARY, push) for push in delimited]


def frames_in(packed: bytes) -> Iterator[tuple[Theirs, bytes]]:
    stream = StreamReader()
    stream.feed_data(packed)
    while stream.buffer:
        parsed = parse_one(stream)
        yield parsed.opcode, bytes(parsed.data)


@pytest.mark.parametrize("framing", [JSON_FRAMING, PROTOBUF_FRAMING])
def test_no_push_is_no_frame(framing: Framing) -> None:
    assert framing.pack(()) == b""
