"""The gateways a partition has heard of, and which run of each is the one that counts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final, Protocol

from warren_shared.contracts.presence import HEARTBEAT_SECONDS, MISSED_BEATS

SILENCE: Final = HEARTBEAT_SECONDS * MISSED_BEATS
"""A gateway silent for so long is gone."""
ASK_AGAIN: Final = 2.0
"""A gateway that was asked for a snapshot but sends none for so long is asked again."""
ANSWER_DUE: Final = 0.3
"""A gateway first heard of otherwise, while all are asked, may have missed that: it is asked itself if
its answer is not there after so long."""
REMEMBERED: Final = 600.0
"""How long a gateway that is gone is remembered."""
_ASKS_KEPT: Final = 8


class Sender(Protocol):
    """What every report of a gateway says of its sender."""

    @property
    def gateway(self) -> str: ...
    @property
    def incarnation(self) -> str: ...
    @property
    def started(self) -> float: ...


class Life(Enum):
    """What became of a gateway incarnation."""

    LIVE = auto()
    EXPIRED = auto()
    """It fell silent. It may come back: then it is asked for everything."""
    STOPPED = auto()
    """It said goodbye. Nothing more is to come of it."""


@dataclass(slots=True)
class Incarnation:
    """One run of one gateway."""

    gateway: str
    name: str
    started: float
    heard: float
    """When it was heard of last."""
    life: Life = Life.LIVE
    synced: bool = False
    """Whether all that it holds is known: it has answered a snapshot request whole."""
    silent: bool = False
    """Whether those its next answer adds were announced already, by who had the partition, or their
    channel, before."""
    returned: bool = False
    """Whether it had expired and has not told all since: until then leaves of the unknown are old news."""
    generation: int = 0
    """Counts the snapshot requests; marks what has been confirmed since each."""
    asks: dict[str, int] = field(default_factory=dict)
    """The generation in which each unanswered request was made, by its sync id."""
    asked: float = float("-inf")
    """When it was last asked, or last answered in part."""

    @property
    def age(self) -> tuple[float, str]:
        """Orders the runs of a gateway; the name decides between two that began at one moment."""
        return self.started, self.name

    def ask(self, sync: str, now: float) -> None:
        """Take note that it is asked for a snapshot."""
        self.synced = False
        self.generation += 1
        self.asks[sync] = self.generation
        self.asked = now
        while len(self.asks) > _ASKS_KEPT:
            del self.asks[next(iter(self.asks))]

    def answered(self, sync: str) -> int | None:
        """Take note that a request is answered whole; return its generation, None if it is none of ours."""
        generation = self.asks.get(sync)
        if generation is not None:
            self.synced, self.silent, self.returned = True, False, False
            self.asks.clear()
        return generation


class Roster:
    """Incarnations by gateway: of each the newest that was heard of."""

    def __init__(self) -> None:
        self._incarnations: dict[str, Incarnation] = {}

    def find(self, gateway: str) -> Incarnation | None:
        """Return the incarnation that counts."""
        return self._incarnations.get(gateway)

    def enter(self, incarnation: Incarnation) -> None:
        """Have it count from now on."""
        self._incarnations[incarnation.gateway] = incarnation

    def live(self) -> Iterator[Incarnation]:
        """Iterate over those that live."""
        return (each for each in self._incarnations.values() if each.life is Life.LIVE)

    def silent_since(self, moment: float) -> list[Incarnation]:
        """Return those that live and were not heard of after ``moment``."""
        return [each for each in self.live() if each.heard <= moment]

    def forget(self, moment: float) -> None:
        """Forget those that are gone and were not heard of after ``moment``."""
        gone = [each.gateway for each in self._incarnations.values() if each.life is not Life.LIVE]
        for gateway in gone:
            if self._incarnations[gateway].heard <= moment:
                del self._incarnations[gateway]


def is_void(sender: Sender, known: Incarnation | None) -> bool:
    """Whether a report is of a run that is over.

    An older run is void while the newer one lives. Once that is gone the older is believed again: it
    may be the newer in truth, on a machine whose clock was set back.
    """
    if known is None:
        return False
    if sender.incarnation == known.name:
        return known.life is Life.STOPPED
    return known.life is Life.LIVE and (sender.started, sender.incarnation) < known.age
