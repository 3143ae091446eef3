"""Which published messages wait for their confirms (RabbitMQ: Publisher Confirms)."""

from __future__ import annotations

from itertools import takewhile

from warren_shared.messaging.lane.decoder import Confirmed
from warren_shared.messaging.port import BusError


class Settlement:
    """Messages somebody waits for together."""

    __slots__ = ("error", "missing", "refused")

    def __init__(self) -> None:
        self.missing = 0
        """Confirms that are still to come."""
        self.refused = 0
        self.error: BusError | None = None
        """Why no confirms will come any more."""


class Confirms:
    """Counts the messages of an amqp channel as the broker counts them, from 1."""

    def __init__(self) -> None:
        self._last = 0
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
            return complete
        last = confirmed.tag or self._last  # 0 means all (AMQP 0-9-1: basic.ack.multiple)
        for tag in tuple(takewhile(lambda tag: tag <= last, self._open)):
            self._settle(tag, confirmed.positive, complete)
        return complete

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
