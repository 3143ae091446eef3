"""A client that speaks Protobuf, by the generated classes alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from google.protobuf.internal.decoder import _DecodeVarint  # type: ignore[attr-defined]  # the stubs leave it out
from google.protobuf.internal.encoder import _VarintBytes  # type: ignore[attr-defined]  # likewise

from warren_gateway.domain.protobuf import client_pb2 as pb


def frame_with(*commands: pb.Command) -> bytes:
    """Return the commands as one frame."""
    return b"".join(_VarintBytes(each.ByteSize()) + each.SerializeToString() for each in commands)


def replies_in(frame: bytes) -> Sequence[pb.Reply]:
    """Return the messages of a frame."""
    replies, at = [], 0
    while at < len(frame):
        size, at = _DecodeVarint(frame, at)
        replies.append(pb.Reply.FromString(frame[at : at + size]))
        at += size
    return replies


def command(number: int, **request: Any) -> pb.Command:
    return pb.Command(id=number, **request)
