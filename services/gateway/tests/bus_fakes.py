"""A broker, a history and clients in memory, whose every step a test decides."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import orjson

from warren_gateway.domain.encoding import Encoding
from warren_gateway.domain.json_encoding import JSON
from warren_gateway.ports import RequestFailedError, ServiceUnavailableError, Subscribed
from warren_shared.contracts.channels import routing_key_of
from warren_shared.contracts.codes import Disconnect, ErrorCode, Unsubscribe
from warren_shared.contracts.history import Page, ReadRequest, StoredPublication
from warren_shared.contracts.namespaces import Namespaces, parse_namespaces
from warren_shared.contracts.presence import Member
from warren_shared.contracts.publication import tags_of
from warren_shared.messaging.port import (
    BindKey,
    BrokerUnavailableError,
    BusError,
    DeadlineExceededError,
    Delivery,
    Headers,
    Outgoing,
)

NAMESPACES = """
without_namespace: {}
namespaces:
  - {name: live}
  - {name: tagged, allow_tags_filter: true}
  - {name: ticks, allow_tags_filter: true, history_size: 1000, history_ttl: 1h}
  - {name: orders, allow_patterns: true}
  - {name: parcels, allow_patterns: true, allow_tags_filter: true}
  - {name: board, history_size: 1000, history_ttl: 1h, allowed_delta_types: [fossil], delta_publish: true}
  - {name: quote, history_size: 1000, history_ttl: 1h, allowed_delta_types: [fossil]}
  - {name: score, history_size: 1, history_ttl: 1h, force_recovery: true, force_recovery_mode: cache,
     allowed_delta_types: [fossil], delta_publish: true}
  - {name: trades, allow_patterns: true, history_size: 1000, history_ttl: 1h}
  - {name: chat, history_size: 1000, history_ttl: 1h, presence: true, join_leave: true}
  - {name: last, history_size: 1, history_ttl: 1h, force_recovery: true, force_recovery_mode: cache}
  - {name: mine, history_size: 1000, history_ttl: 1h, bind_namespace: true}
"""


def namespaces(text: str = NAMESPACES) -> Namespaces:
    return parse_namespaces(text)


class Lines:
    """Frames with one push a line."""

    def __init__(self, encoding: Encoding = JSON) -> None:
        self.encoding = encoding
        self.packed = 0

    def pack(self, pushes: Sequence[bytes]) -> bytes:
        self.packed += 1
        return b"\n".join(pushes)


class Client:
    """A connection that writes down what it is told."""

    def __init__(self, name: str, framing: Lines | None = None) -> None:
        self.client = name
        self.framing = framing or Lines()
        self.frames: list[bytes] = []
        self.replies: list[Subscribed | ErrorCode] = []
        self.ended: list[tuple[str, Unsubscribe]] = []
        self.closed: list[Disconnect] = []
        self.room = 1_000_000

    def write(self, packed: bytes) -> None:
        self.frames.append(packed)

    def unsubscribed(self, channel: str, reason: Unsubscribe) -> None:
        self.ended.append((channel, reason))

    def cut_off(self, reason: Disconnect) -> None:
        self.closed.append(reason)

    def done(self, reply: Subscribed | ErrorCode) -> None:
        self.replies.append(reply)

    @property
    def reply(self) -> Subscribed:
        """The last reply, which must have been a success."""
        last = self.replies[-1]
        assert isinstance(last, Subscribed), last
        return last

    @property
    def pushes(self) -> list[dict[str, Any]]:
        return [orjson.loads(line)["push"] for frame in self.frames for line in frame.split(b"\n")]

    @property
    def data(self) -> list[Any]:
        """The payloads that were pushed."""
        return [push["pub"]["data"] for push in self.pushes if "pub" in push]


class ManualClock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.time = 1_000.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time


class Turns:
    """Loop turns that a test takes one by one."""

    def __init__(self) -> None:
        self.waiting: deque[Callable[[], None]] = deque()

    def defer(self, callback: Callable[[], None]) -> None:
        self.waiting.append(callback)

    def turn(self) -> None:
        """Run what was deferred until now, not what that defers."""
        for _ in range(len(self.waiting)):
            self.waiting.popleft()()

    def run(self) -> None:
        while self.waiting:
            self.turn()


class Observer:
    """Observes the fan-out."""

    def __init__(self) -> None:
        self.passes: list[float] = []
        self.traced: list[tuple[str, Sequence[object], int]] = []

    def writing(self, channel: str, traces: Sequence[object], recipients: int) -> AbstractContextManager[object]:
        self.traced.append((channel, traces, recipients))
        return nullcontext()

    def written(self, seconds: float) -> None:
        self.passes.append(seconds)


def topic_matches(pattern: Sequence[str], key: Sequence[str]) -> bool:
    """Whether a topic exchange takes words of a key for those of a binding key (AMQP 0-9-1 section 3.1.3.3)."""
    if not pattern:
        return not key
    first, *rest = pattern
    if first == "#":
        return topic_matches(rest, key) or (bool(key) and topic_matches(pattern, key[1:]))
    return bool(key) and first in {"*", key[0]} and topic_matches(rest, key[1:])


class FakeInbox:
    """An inbox: what is bound, and what may go wrong."""

    def __init__(self) -> None:
        self.keys: set[BindKey] = set()
        self.log: list[tuple[str, tuple[str, ...]]] = []
        self.gate: asyncio.Event | None = None
        """Binding waits for it."""
        self.fails = False
        self.is_open = True

    async def bind(self, keys: Sequence[BindKey], *, deadline: float) -> None:
        assert deadline > 0
        self.log.append(("bind", tuple(key for _, key in keys)))
        await self._pass()
        self.keys.update(keys)

    async def unbind(self, keys: Sequence[BindKey], *, deadline: float) -> None:
        assert deadline > 0
        self.log.append(("unbind", tuple(key for _, key in keys)))
        await self._pass()
        self.keys.difference_update(keys)

    async def _pass(self) -> None:
        if self.gate is not None:
            await self.gate.wait()
        if self.fails:
            raise BrokerUnavailableError("there is no connection to the broker")

    def matches(self, key: str) -> bool:
        """Whether what is published under ``key`` arrives."""
        bound = {bound for exchange, bound in self.keys if exchange == "warren.deliver"}
        return any(topic_matches(pattern.split("."), key.split(".")) for pattern in bound)

    @property
    def bound(self) -> set[str]:
        return {key for _, key in self.keys}


@dataclass(eq=False)
class Read:
    """A read under way."""

    request: ReadRequest
    answer: asyncio.Future[Page]
    page: Page | None = None


@dataclass
class FakeHistory:
    """Streams, and reads that wait until a test answers them unless ``answers`` is set."""

    size: int = 1000
    page_size: int = 1000
    answers: bool = True
    down: bool = False
    refuses: ErrorCode | None = None
    streams: dict[str, list[StoredPublication]] = field(default_factory=dict)
    tops: dict[str, int] = field(default_factory=dict)
    epochs: dict[str, str] = field(default_factory=dict)
    reads: list[ReadRequest] = field(default_factory=list)
    waiting: list[Read] = field(default_factory=list)

    def publish(self, channel: str, data: object, *, headers: Headers | None = None) -> Delivery:
        """Store a publication and return what would be delivered."""
        top = self.tops[channel] = self.tops.get(channel, 0) + 1
        tags = tags_of(headers or {})
        stored = StoredPublication(offset=top, data=orjson.dumps(data).decode(), time=7, tags=tags)
        stream = self.streams.setdefault(channel, [])
        stream.append(stored)
        del stream[: -self.size]
        return self.delivery(channel, stored, headers)

    def delivery(self, channel: str, stored: StoredPublication, headers: Headers | None = None) -> Delivery:
        position: Headers = {"offset": stored.offset, "epoch": self.epoch(channel), "time": stored.time}
        return Delivery(
            "warren.deliver", routing_key_of(channel), stored.data.encode(), {**(headers or {}), **position}
        )

    def epoch(self, channel: str) -> str:
        return self.epochs.setdefault(channel, "E1")

    def restart(self, channel: str, epoch: str) -> None:
        """Lose a stream and begin a new one."""
        self.epochs[channel] = epoch
        self.tops[channel] = 0
        self.streams[channel] = []

    def page(self, request: ReadRequest) -> Page:
        since = request.since_offset or 0
        wanted = [stored for stored in self.streams.get(request.channel, []) if stored.offset > since]
        if request.reverse:
            assert request.since_offset is None
            wanted.reverse()
        return Page(
            epoch=self.epoch(request.channel),
            top=self.tops.get(request.channel, 0),
            publications=tuple(wanted[: min(request.limit, self.page_size)]),
        )

    async def read(self, request: ReadRequest) -> Page:
        self.reads.append(request)
        if self.down:
            raise ServiceUnavailableError("history is down")
        if self.refuses is not None:
            raise RequestFailedError(self.refuses)
        if self.answers:
            return self.page(request)
        read = Read(request, asyncio.get_running_loop().create_future())
        self.waiting.append(read)
        return await read.answer

    def serve(self, read: Read) -> None:
        """Take the page; the answer is still on its way."""
        read.page = self.page(read.request)

    def reply(self, read: Read) -> None:
        """Let the answer arrive."""
        self.waiting.remove(read)
        read.answer.set_result(read.page or self.page(read.request))

    def fail(self, read: Read) -> None:
        self.waiting.remove(read)
        read.answer.set_exception(ServiceUnavailableError("no reply"))


class FakePresence:
    """Writes down joins and leaves."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, str]] = []

    def joined(self, channel: str, member: Member, *, announce: bool) -> None:
        assert announce in {True, False}
        self.events.append(("joined", channel, member.client))

    def left(self, channel: str, client: str, *, announce: bool) -> None:
        assert announce in {True, False}
        self.events.append(("left", channel, client))


class FakePublisher:
    """Takes messages; may refuse them."""

    def __init__(self) -> None:
        self.sent: list[Outgoing] = []
        self.confirmed: list[Outgoing] = []
        self.fails = False
        self.takes_before_failing = 0
        self.confirming: Callable[[], Awaitable[None]] | None = None

    async def publish(self, message: Outgoing, *, deadline: float) -> None:
        await self.publish_all([message], deadline=deadline)

    async def publish_all(self, messages: Sequence[Outgoing], *, deadline: float) -> None:
        assert deadline > 0
        if self.confirming is not None:
            try:
                async with asyncio.timeout(deadline):
                    await self.confirming()
            except TimeoutError as error:
                raise DeadlineExceededError("the broker did not answer in time") from error
        if self.fails:
            self.confirmed.extend(messages[: self.takes_before_failing])
            raise BrokerUnavailableError("there is no connection to the broker")
        self.confirmed.extend(messages)

    def send(self, message: Outgoing) -> bool:
        if self.fails:
            return False
        self.sent.append(message)
        return True


class FakeCaller:
    """Backends that answer as told, and ``null`` from then on."""

    def __init__(self, *answers: Delivery | BusError, gate: asyncio.Event | None = None) -> None:
        self._answers = list(answers)
        self.calls: list[tuple[Outgoing, float]] = []
        self.gate = gate or asyncio.Event()
        """What answers wait for, if it was given."""
        if gate is None:
            self.gate.set()

    async def call(self, message: Outgoing, *, deadline: float) -> Delivery:
        self.calls.append((message, deadline))
        await self.gate.wait()
        answer = self._answers.pop(0) if self._answers else Delivery("warren.replies", "q", b"null")
        if isinstance(answer, BusError):
            raise answer
        return answer
