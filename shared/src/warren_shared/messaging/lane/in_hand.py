"""How much was delivered and is not acked yet."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from warren_shared.messaging.lane.delivery import ReadDelivery


class InHand:
    """Counts the bytes of one consumer's deliveries, by what arrived together: a prefetch counts messages, and RabbitMQ
    knows no other (RabbitMQ: Consumer Prefetch), so that 512 of them may be anything up to 512 of the largest.
    """

    def __init__(self) -> None:
        self._batches: deque[tuple[int, int]] = deque()
        """The last tag and the bytes of what arrived together."""

    def took(self, deliveries: Sequence[ReadDelivery]) -> int:
        """Deliveries arrived; returns their bytes."""
        size = sum([len(delivery.body) + len(delivery.content) for delivery in deliveries])
        self._batches.append((deliveries[-1].tag, size))
        return size

    def acked(self, tag: int) -> int:
        """Everything up to a tag was acked; returns the bytes of what arrived together and is now done with."""
        return self._release(tag)

    def dropped(self) -> int:
        """Nothing can be acked any more; returns the bytes of what was left."""
        return self._release(None)

    def _release(self, tag: int | None) -> int:
        released = 0
        while self._batches and (tag is None or self._batches[0][0] <= tag):
            released += self._batches.popleft()[1]
        return released
