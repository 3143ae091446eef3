"""Probes: how a process knows that it is a partition's consumer, and how far it has read.

RabbitMQ lets one consumer of a partition's queue work at a time and tells none of them when that
changes. So the process that works sends itself small numbered messages through the queue. A probe that
comes back proves three things at once: this process is the one that works, it has read everything
that was queued before the probe was sent, and, if the numbers have no gap, nobody else has read
anything in between. Whatever can only be concluded from silence (a gateway that beats no more) is
concluded when a probe returns, and never from the passing of time.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

from warren_shared.contracts.presence import Probe

INTERVAL: Final = 0.5
"""Seconds between probes."""
PROMPT: Final = 2.0
"""If nothing returned for longer than this, something stands still: broker, network or process."""
LONGEST_STALL: Final = 5.0
"""Probes sent further apart than this say nothing of the time between them: within it the broker may
have taken the connection for dead and let somebody else work."""
LAPSE: Final = 60.0
"""After so long without a delivery, not even of a probe, what is known is too old to be worth keeping."""


class Return(Enum):
    """What a probe's return proves."""

    NOTHING = auto()
    """It is somebody else's, or one that was redelivered."""
    ALL_READ = auto()
    """Everything queued before it was sent has been read, by this process, without a stop."""
    ALL_READ_LATE = auto()
    """Likewise, but something stood still: gateways may have been unable to beat."""
    SOME_MISSED = auto()
    """Somebody else may have read some of what was queued, or the broker lost it."""


class Tenure:
    """The time in which a process is a partition's consumer, as far as it can know."""

    def __init__(self, process: str) -> None:
        """``process`` must differ between all processes that ever share a queue."""
        self._process = process
        self._tenures = 0
        self._id = ""
        self._sent = self._expected = 0
        self._last_sent = self._last_return_sent = self._last_return = self._last_delivery = 0.0

    @property
    def active(self) -> bool:
        """Whether deliveries have come and have not ceased for long."""
        return bool(self._id)

    def delivered(self, now: float) -> bool:
        """Take note of a delivery; return whether a tenure begins with it."""
        self._last_delivery = now
        if self.active:
            return False
        self.begin(now)
        return True

    def begin(self, now: float) -> None:
        """Begin a tenure; the probes of the one before prove nothing any more."""
        self._tenures += 1
        self._id = f"{self._process}.{self._tenures}"
        self._sent = self._expected = 0
        self._last_sent = now - INTERVAL
        self._last_return = self._last_return_sent = now

    def end(self) -> None:
        """Nothing came for long: somebody else may be the consumer."""
        self._id = ""

    def lapsed(self, now: float) -> bool:
        """Whether it is time to end."""
        return self.active and now - self._last_delivery > LAPSE

    def prompt(self, now: float) -> bool:
        """Whether deliveries, if only of probes, come as they should."""
        return self.active and now - self._last_delivery <= PROMPT

    def due(self, now: float) -> Probe | None:
        """Return a probe if it is time to send one. One that cannot be sent is not sent again."""
        if not self.active or now - self._last_sent < INTERVAL:
            return None
        self._last_sent = now
        probe = Probe(tenure=self._id, number=self._sent, sent_at=now)
        self._sent += 1
        return probe

    def returned(self, probe: Probe, now: float) -> Return:
        """Say what a delivered probe proves."""
        if not self.active or probe.tenure != self._id or probe.number < self._expected:
            return Return.NOTHING
        missed = probe.number > self._expected or probe.sent_at - self._last_return_sent > LONGEST_STALL
        late = now - self._last_return > PROMPT
        self._expected = probe.number + 1
        self._last_return, self._last_return_sent = now, probe.sent_at
        if missed:
            return Return.SOME_MISSED
        return Return.ALL_READ_LATE if late else Return.ALL_READ
