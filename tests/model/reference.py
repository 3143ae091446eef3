"""What a durable channel is, in a few lines, and a client that holds what it is told against that."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson

from model.gateway_world import OPTIONS
from warren_gateway.domain.encoding import Encoding
from warren_gateway.domain.json_encoding import JSON
from warren_gateway.domain.requests import Subscribed
from warren_gateway.domain.subscribers import Framing
from warren_shared.contracts.codes import Disconnect, ErrorCode, Unsubscribe
from warren_shared.contracts.publication import Position

SIZE, TTL = 5, 30.0
"""Publications that are kept, and for how many seconds."""


@dataclass
class Stream:
    """One life of a channel: what was published under one epoch."""

    times: list[float] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    removed: int = 0

    def append(self, text: str, message_id: str, now: float) -> None:
        if message_id not in self.ids:
            self.ids.add(message_id)
            self.texts.append(text)
            self.times.append(now)

    def low(self, now: float) -> int:
        """Return the newest offset that is not kept any more."""
        return max(self.removed, len(self.texts) - SIZE, sum(time + TTL <= now for time in self.times))

    def copy(self) -> Stream:
        return Stream(list(self.times), list(self.texts), set(self.ids), self.removed)


class Channel:
    """The lives of a channel, by their epochs."""

    def __init__(self, epoch: str) -> None:
        self.streams = {epoch: Stream()}
        self.epoch = epoch

    @property
    def stream(self) -> Stream:
        """The present life."""
        return self.streams[self.epoch]

    @property
    def top(self) -> Position:
        """Where the channel is."""
        return Position(self.epoch, len(self.stream.texts))

    def begin(self, epoch: str, stream: Stream) -> None:
        """Begin another life. Its epoch was never seen before."""
        assert epoch not in self.streams
        self.streams[epoch], self.epoch = stream, epoch

    def holds(self, since: Position, now: float) -> bool:
        """Whether all after a position can be had, and is not too much for one recovery."""
        missed = len(self.stream.texts) - since.offset
        return (
            since.epoch in ("", self.epoch)
            and 0 <= missed <= OPTIONS.recovery_limit
            and (missed == 0 or since.offset >= self.stream.low(now))
        )


class Lines:
    """Frames as a socket in JSON does: one push a line."""

    encoding: Encoding = JSON

    def pack(self, pushes: Any) -> bytes:
        return b"\n".join(pushes)


class Sdk:
    """A client that remembers where it is, as the SDKs do, and finds every mistake."""

    def __init__(self, name: str, channel: str, truth: Channel, clock: Any) -> None:
        self.client, self.room = name, 1_000_000
        self.framing: Framing = Lines()
        self._channel, self._truth, self._clock = channel, truth, clock
        self.state = "unsubscribed"
        self.position: Position | None = None
        self.asked: Position | None = None
        self.told: list[bool] = []
        """Of each recovery, whether it worked."""

    def write(self, packed: bytes) -> None:
        assert self.state == "subscribed", "nothing is written before the reply or after the end"
        for line in packed.split(b"\n"):
            push = orjson.loads(line)["push"]
            assert push["channel"] == self._channel
            self._take(push["pub"])

    def unsubscribed(self, channel: str, reason: Unsubscribe) -> None:
        assert (channel, reason.code, self.state) == (self._channel, 2500, "subscribed")
        self.state = "unsubscribed"

    def cut_off(self, reason: Disconnect) -> None:
        raise AssertionError(f"nothing is wrong with this connection: {reason}")

    def done(self, reply: Subscribed | ErrorCode) -> None:
        assert self.state == "subscribing"
        if isinstance(reply, ErrorCode):
            assert reply.temporary
            self.state = "unsubscribed"
            return
        self.state = "subscribed"
        assert reply.position is not None
        assert reply.was_recovering == (self.asked is not None)
        if self.asked is not None:
            self.told.append(reply.recovered)
        if reply.recovered:
            assert self.asked is not None
            assert reply.position.offset == self.asked.offset
            assert self.asked.epoch in ("", reply.position.epoch)
        else:
            assert not reply.publications
            needless = self.asked is not None and self._truth.holds(self.asked, self._clock.now())
            assert not needless, "what the window holds is recovered"
        self.position = reply.position
        for publication in reply.publications:
            self._take(orjson.loads(publication))

    def _take(self, publication: dict[str, Any]) -> None:
        assert self.position is not None
        epoch, offset = self.position.epoch, self.position.offset
        assert publication["offset"] == offset + 1, "nothing lost, repeated or out of order"
        assert publication["data"] == self._truth.streams[epoch].texts[offset], "and nothing else than was published"
        self.position = Position(epoch, offset + 1)
