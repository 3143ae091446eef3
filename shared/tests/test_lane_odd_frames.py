"""Frames no broker should send are refused, or kept nowhere, however they are cut."""

from __future__ import annotations

import sys
from itertools import pairwise

import pytest
from pamqp import commands, frame, header

from warren_shared.messaging.lane.decoder import Decoder
from warren_shared.messaging.lane.errors import FrameError

EMPTY_PART = b"\x03\x00\x01\x00\x00\x00\x00\xce"


def _begun(size: int) -> bytes:
    """A delivery of so many bytes, none of which is there."""
    frames = (
        commands.Basic.Deliver("c", 1, False, "x", "k"),
        header.ContentHeader(0, size, commands.Basic.Properties()),
    )
    return b"".join(frame.marshal(each, 1) for each in frames)


@pytest.mark.parametrize("cuts", [[], [30], [60]])
def test_a_body_frame_behind_an_empty_body_is_refused_however_it_is_cut(cuts: list[int]) -> None:
    decoder, data = Decoder(4096), _begun(0) + EMPTY_PART
    reads = [data[begin:end] for begin, end in pairwise([0, *cuts, len(data)])]
    with pytest.raises(FrameError, match="without a content header"):
        list(map(decoder.feed, reads))


def test_body_frames_with_nothing_in_them_are_kept_nowhere() -> None:
    decoder = Decoder(4096)
    decoder.feed(_begun(1) + EMPTY_PART * 1000)
    assert decoder._contents[1].parts == []
    assert len(decoder.feed(b"\x03\x00\x01\x00\x00\x00\x01x\xce")) == 1


def test_tables_nested_deeper_than_python_reads_are_refused(request: pytest.FixtureRequest) -> None:
    table = b""
    for _ in range(5000):
        table = b"\x01aF" + len(table).to_bytes(4, "big") + table
    limit = sys.getrecursionlimit()
    request.addfinalizer(lambda: sys.setrecursionlimit(limit))
    sys.setrecursionlimit(1000)  # some tool may have set it higher
    start = b"\x00\x0a\x00\x0a\x00\x09" + len(table).to_bytes(4, "big") + table + bytes(8)
    with pytest.raises(FrameError, match="cannot be read"):
        Decoder(65536).feed(b"\x01\x00\x00" + len(start).to_bytes(4, "big") + start + b"\xce")
