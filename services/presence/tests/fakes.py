"""Hand-written fakes of the ports that presence uses."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from warren_shared.messaging.port import BrokerUnavailableError, BusError, Outgoing, UnsendableMessageError


class FakeClock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> float:
        return self.seconds

    def monotonic(self) -> float:
        return self.seconds


class FakePublisher:
    """Keeps what is published; can be down, fail a number of times, or take its time."""

    def __init__(self) -> None:
        self.confirmed: list[Outgoing] = []
        self.sent: list[Outgoing] = []
        self.up = True
        self.failures: list[BusError] = []
        self.never: Outgoing | None = None
        """A message that is never taken; what is published with it is lost too."""
        self.attempts = 0
        self.attempted = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    async def publish(self, message: Outgoing, *, deadline: float) -> None:
        await self.publish_all([message], deadline=deadline)

    async def publish_all(self, messages: Sequence[Outgoing], *, deadline: float) -> None:
        assert deadline > 0
        self.attempts += 1
        self.attempted.set()
        await self.gate.wait()
        if self.failures:
            raise self.failures.pop(0)
        if not self.up:
            raise BrokerUnavailableError("down")
        if self.never in messages:
            raise UnsendableMessageError("CC is no list")
        self.confirmed += messages

    def send(self, message: Outgoing) -> bool:
        if self.up:
            self.sent.append(message)
        return self.up
