"""A clock that stands and a publisher that does as it is told."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from warren_shared.contracts.pack import read_pack
from warren_shared.messaging.port import JSON, Outgoing, UnsendableMessageError


def apart(messages: Iterable[Outgoing]) -> list[Outgoing]:
    """Put the publications of packs in the packs' places, as the messages they would be alone."""
    return [each for message in messages for each in (_unpacked(message) if message.type == "pack" else [message])]


def _unpacked(pack: Outgoing) -> list[Outgoing]:
    return [
        Outgoing(
            pack.exchange,
            run.key,
            publication.data,
            headers={
                "offset": publication.offset,
                "epoch": run.epoch,
                "time": publication.time,
                **publication.headers,
            },
            message_id=publication.message_id or None,
            content_type=publication.content_type or JSON,
        )
        for run in read_pack(pack.body)
        for publication in run.publications()
    ]


class FakeClock:
    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.time = now

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time


class FakePublisher:
    """Keeps what it published. A planned failure refuses one call, before or after publishing it."""

    def __init__(self) -> None:
        self.published: list[Outgoing] = []
        self.calls: list[Sequence[Outgoing]] = []
        self.failures: deque[Exception | None] = deque()
        self.failures_after: deque[Exception | None] = deque()
        self.refuses: Callable[[Outgoing], bool] = lambda _: False
        """Which messages are never taken; what is published with one is lost too."""
        self.gate = asyncio.Event()
        """While it is not set, no call returns."""
        self.gate.set()
        self.called = asyncio.Event()

    async def publish(self, message: Outgoing, *, deadline: float) -> None:
        await self.publish_all([message], deadline=deadline)

    async def publish_all(self, messages: Sequence[Outgoing], *, deadline: float) -> None:
        assert deadline > 0
        self.calls.append(messages)
        self.called.set()
        await self.gate.wait()
        _fail(self.failures)
        if any(map(self.refuses, messages)):
            raise UnsendableMessageError("CC is no list")
        self.published.extend(messages)
        _fail(self.failures_after)

    def send(self, message: Outgoing) -> bool:
        self.published.append(message)
        return True


def _fail(planned: deque[Exception | None]) -> None:
    failure = planned.popleft() if planned else None
    if failure is not None:
        raise failure
