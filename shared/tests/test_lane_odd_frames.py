"""Frames no broker should send are refused, or kept nowhere, however they are cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from pamqp import commands, frame, header

from warren_shared.messaging.lane.decoder import Decoder
from warren_shared.messaging.lane.errors import FrameError

CHANNEL_OPENED = frame.marshal(commands.Channel.OpenOk(), 1)
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


def test_a_method_nested_deeper_than_python_reads_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def too_deep(_: bytes) -> None:
        raise RecursionError("maximum recursion depth exceeded")

    # Said by pamqp of tables in tables, unless the other driver is loaded: that makes it lenient.
    monkeypatch.setattr("pamqp.frame.unmarshal", too_deep)
    with pytest.raises(FrameError, match="cannot be read"):
        Decoder(4096).feed(CHANNEL_OPENED)
