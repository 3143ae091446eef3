"""Frames that were tampered with, one after another, at sessions of both encodings."""

from __future__ import annotations

import base64
import os
import random
from typing import Any, Final

import orjson
import pytest
from google.protobuf.json_format import ParseDict

from warren_gateway.domain.effects import AWAITED, Close, Effect, Send
from warren_gateway.domain.encoding import Encoding, UndecodableError
from warren_gateway.domain.events import CommandReceived, Event, GarbageReceived, SubscriptionEnded, TimeElapsed
from warren_gateway.domain.json_encoding import JSON
from warren_gateway.domain.protobuf import client_pb2 as pb
from warren_gateway.domain.protobuf.encoding import PROTOBUF
from warren_shared.contracts.codes import Unsubscribes

from .protobuf_client import frame_with
from .session_driver import Json, Talk
from .test_session_fuzz import CLOSE_CODES, ERROR_CODES, outcome

CASES: Final = int(os.environ.get("WARREN_FUZZ_CASES", "4000"))
CHANNELS: Final = (
    "live:a",
    "chat:a",
    "chat:b",
    "asks:a",
    "latest:a",
    "limited:a#alice",
    "objects:a",
    "nope:a",
    "chat:$x",
)
SAMPLES: Final[tuple[Json, ...]] = (
    {"subscribe": {"channel": "C", "recover": True, "epoch": "e", "offset": 3, "flag": 2}},
    {"subscribe": {"channel": "C", "positioned": True, "recoverable": True, "join_leave": True, "data": {"a": 1}}},
    {"subscribe": {"channel": "C", "token": "t", "delta": "fossil", "tf": {"key": "k", "cmp": "eq", "val": "v"}}},
    {"unsubscribe": {"channel": "C"}},
    {"publish": {"channel": "C", "data": {"text": "hello", "n": [1, 2.5e3, None, True]}}},
    {"presence": {"channel": "C"}},
    {"presence_stats": {"channel": "C"}},
    {"history": {"channel": "C", "limit": 10, "since": {"offset": 4, "epoch": "e"}, "reverse": True}},
    {"refresh": {"token": "t"}},
    {"sub_refresh": {"channel": "C", "token": "t"}},
    {"rpc": {"method": "tools:m", "data": {"x": "y"}}},
    {"send": {"data": {"x": "y"}}},
    {"ping": {}},
    {},
)
CONNECT: Final[Json] = {
    "connect": {"token": "t", "name": "js", "version": "1", "headers": {"a": "b"}, "data": {}, "subs": {"chat:a": {}}}
}


def in_json(*commands: Json) -> bytes:
    return b"\n".join(map(orjson.dumps, commands))


def in_protobuf(*commands: Json) -> bytes:
    return frame_with(*(ParseDict(_with_bytes(command), pb.Command()) for command in commands))


def _with_bytes(value: Any) -> Any:
    """Return the JSON with payloads as Protobuf's JSON has bytes."""
    if not isinstance(value, dict):
        return value
    return {
        name: base64.b64encode(orjson.dumps(each)).decode() if name == "data" else _with_bytes(each)
        for name, each in value.items()
    }


WRITERS: Final = {JSON: in_json, PROTOBUF: in_protobuf}


class Peer:
    """A session of one encoding and whoever tampers with its frames; a new one where one has ended."""

    def __init__(self, encoding: Encoding, chance: random.Random) -> None:
        self._encoding, self._chance = encoding, chance
        self._number = 0
        self.sessions = self.undecodable = self.replies = 0
        self._begin()

    def _begin(self) -> None:
        self.sessions += 1
        self._talk = Talk(command_concurrency=6, channel_limit=4)
        self._asks: list[Effect] = []
        self._closed = False
        if self._chance.random() < 0.9:
            self._frame(WRITERS[self._encoding](self._numbered(CONNECT)))
            self.answer_all()

    def _numbered(self, command: Json) -> Json:
        self._number += 1
        return {"id": self._number, **command}

    def step(self) -> None:
        """Send one frame, tampered with more often than not, and let something else happen."""
        self._frame(self._tampered())
        if self._chance.random() < 0.3:
            self.answer_one()
        if self._chance.random() < 0.05:
            self._talk.now += self._chance.choice((0.5, 13.0))
            self._feed(TimeElapsed())
        if self._chance.random() < 0.02:
            self._feed(SubscriptionEnded(self._chance.choice(CHANNELS), Unsubscribes.INSUFFICIENT_STATE))
        if self._closed:
            assert self._talk.session.closed
            self._begin()

    def _tampered(self) -> bytes:
        chance = self._chance
        samples = [*SAMPLES, *SAMPLES, CONNECT]
        channel = chance.choice(CHANNELS)
        chosen = [_about(chance.choice(samples), channel) for _ in range(chance.choice((1, 1, 1, 2, 4)))]
        frame = bytearray(WRITERS[self._encoding](*map(self._numbered, chosen)))
        for _ in range(chance.choice((0, 0, 1, 1, 2, 3))):
            _tamper(frame, chance)
        return bytes(frame)

    def _frame(self, frame: bytes) -> None:
        commands = self._encoding.decode(frame)
        while not self._closed:
            if not self._talk.session.accepting:
                self.answer_all()  # whoever has more waits
                continue
            try:
                command = next(commands, None)
            except UndecodableError:
                self.undecodable += 1
                self._feed(GarbageReceived())
                return
            if command is None:
                return
            self._feed(CommandReceived(command))

    def answer_one(self) -> None:
        if self._asks and not self._closed:
            ask = self._asks.pop(self._chance.randrange(len(self._asks)))
            self._feed(outcome(ask, fails=self._chance.random() < 0.2))

    def answer_all(self) -> None:
        """Afterwards more commands are accepted: a session that waits for nobody is never stuck."""
        while self._asks and not self._closed:
            self.answer_one()
        assert self._closed or self._talk.session.accepting

    def _feed(self, event: Event) -> None:
        for effect in self._talk.feed(event):
            assert not self._closed, "nothing may follow a close"
            match effect:
                case Send(reply):
                    self.replies += 1
                    self._look_at(self._encoding.encode(reply))
                case Close(disconnect):
                    assert disconnect.code in CLOSE_CODES
                    self._closed = True
                case _ if isinstance(effect, AWAITED):
                    self._asks.append(effect)

    def _look_at(self, message: bytes) -> None:
        if self._encoding is JSON:
            code = orjson.loads(message).get("error", {}).get("code", 0)
        else:
            code = pb.Reply.FromString(message).error.code
        assert not code or code in ERROR_CODES


def _about(command: Json, channel: str) -> Json:
    return {name: {**fields, "channel": channel} if "channel" in fields else fields for name, fields in command.items()}


def _tamper(frame: bytearray, chance: random.Random) -> None:
    if not frame:
        return
    at = chance.randrange(len(frame))
    match chance.randrange(6):
        case 0:
            frame[at] = chance.randrange(256)
        case 1:
            frame[at] ^= 1 << chance.randrange(8)
        case 2:
            del frame[at : at + chance.randrange(1, 9)]
        case 3:
            frame[at:at] = chance.choice(
                (b'"', b"{", b"}", b"\n", b"null", b"-1", b"1e400", b"\\ud83d", b"\x00", b"\xff" * 9)
            )
        case 4:
            frame[at:at] = frame[: chance.randrange(1, 40)]
        case 5:
            frame[at:] = b""


@pytest.mark.timeout(3600 if CASES > 100_000 else 60)
@pytest.mark.parametrize("encoding", [JSON, PROTOBUF], ids=["json", "protobuf"])
def test_no_frame_raises_wedges_a_session_or_is_answered_with_a_code_that_is_none(encoding: Encoding) -> None:
    peer = Peer(encoding, random.Random(20261127))  # noqa: S311 - tests want the same numbers each time
    for _ in range(CASES):
        peer.step()
    peer.answer_all()
    assert peer.undecodable > CASES / 20
    assert peer.replies > CASES / 5
    assert peer.sessions > CASES / 50
