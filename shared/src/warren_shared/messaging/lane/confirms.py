"""Which published messages wait for their confirms (RabbitMQ: Publisher Confirms)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from warren_shared.messaging.lane.decoder import Confirmed
from warren_shared.messaging.port import BusError, DeadlineExceededError, PublishRejectedError


class Settlement:
    """Messages somebody waits for together."""

    __slots__ = ("error", "future", "missing", "refused", "until")

    def __init__(self, future: asyncio.Future[None], until: float) -> None:
        """``future`` is what they wait for, ``until`` the event loop's time at which they give up."""
        self.future: asyncio.Future[None] | None = future
        """None once nobody waits any more."""
        self.until = until
        self.missing = self.refused = 0
        """Confirms that are still to come, and such as were negative."""
        self.error: BusError | None = None
        """Why no confirms will come any more."""

    def finish(self) -> None:
        """Tell whoever still waits what came of it."""
        if self.future is None or self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        elif self.refused:
            self.future.set_exception(PublishRejectedError("the broker refused the message"))
        else:
            self.future.set_result(None)

    def expire(self) -> None:
        """Tell whoever still waits that its time is up; the confirms may still come."""
        if self.future is not None and not self.future.done():
            self.future.set_exception(DeadlineExceededError("the broker did not confirm in time"))

    async def wait(self) -> None:
        """Wait for all confirms. Raises PublishRejectedError, DeadlineExceededError, or why none will come."""
        if self.future is not None:
            try:
                await self.future
            finally:
                self.leave()

    def leave(self) -> None:
        """Nobody waits any more. What was written is still counted, and its confirm may never come: a future would
        keep the messages until then, through the traceback of its error.
        """
        future, self.future = self.future, None
        if future is not None and not future.cancel() and not future.cancelled():
            future.exception()  # looked at


class Confirms:
    """Counts the messages of an amqp channel as the broker counts them, from 1."""

    def __init__(self) -> None:
        self._last = 0
        self._first = 1
        """None below is open. Kept apart: a dict looks for its first key behind all that were taken out before it."""
        self._open: dict[int, Settlement] = {}

    def __len__(self) -> int:
        return len(self._open)

    def sent(self, settlement: Settlement) -> None:
        """A message was written; ``settlement`` waits for it."""
        self._last += 1
        self._open[self._last] = settlement
        settlement.missing += 1

    def settle(self, confirmed: Confirmed) -> list[Settlement]:
        """Take the broker's answer; returns what is now complete. A tag nobody waits for is ignored."""
        complete: list[Settlement] = []
        if not confirmed.multiple:
            self._settle(confirmed.tag, confirmed.positive, complete)
        else:
            last = min(confirmed.tag or self._last, self._last)  # 0 means all (AMQP 0-9-1: basic.ack.multiple)
            for tag in range(self._first, last + 1):
                self._settle(tag, confirmed.positive, complete)
        while self._first <= self._last and self._first not in self._open:
            self._first += 1
        return complete

    def unsettled(self) -> Iterable[Settlement]:
        """Return what waits, once for each of its messages."""
        return self._open.values()

    def fail(self, error: BusError) -> list[Settlement]:
        """No answer will come any more; returns what waited."""
        failed = list(dict.fromkeys(self._open.values()))
        self._open.clear()
        for settlement in failed:
            settlement.error = error
        return failed

    def _settle(self, tag: int, positive: bool, complete: list[Settlement]) -> None:
        settlement = self._open.pop(tag, None)
        if settlement is None:
            return
        settlement.missing -= 1
        settlement.refused += not positive
        if not settlement.missing:
            complete.append(settlement)
