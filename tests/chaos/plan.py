"""What will be broken when: drawn from a seed, so that the same seed breaks the same things again.

The rule that keeps a plan within the promise (the crash of any one process): each fault takes what it
breaks for itself, and two faults run at the same time only if they take different things. Broker, history and
its database are one thing, since between them they keep what was confirmed; a second history process is
not of it. No more than two things are broken at a time, and what was broken has a rest before it is broken again.
Links belong to what they lead to.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from chaos.layout import BROKER, GATEWAYS, HISTORY, SPARE, Layout

NODE: Final = "a node of the broker"
LEADER: Final = "the node that leads a history queue"
DISK: Final = f"the disk of {HISTORY}"
DATABASE: Final = "postgres"
SERVICES: Final = (HISTORY, *GATEWAYS, "presence", "auth")
TOGETHER: Final = 2
"""So many things may be broken at a time."""
REST: Final = 3.0
"""Seconds for which what was broken is left alone."""
_KEEPERS: Final = "what keeps"
_FIRST: Final = 1.0
_PAUSES: Final = (0.5, 5.0)
"""Between the beginnings of two faults."""
_MISFITS: Final = 50
"""After so many that would not be over in time there is no room for more."""
_RETURNING: Final = {**dict.fromkeys((BROKER, NODE, LEADER), 8.0), **dict.fromkeys((*SERVICES, SPARE, DATABASE), 2.0)}
"""About how long a process takes until it serves again."""


class FaultKind(StrEnum):
    """How something is broken."""

    KILL = "kill -9"
    PAUSE = "pause"
    RESTART = "restart"
    CUT = "cut"
    STALL = "stall"
    BLACK_HOLE = "black hole"
    DELAY = "delay"
    THROTTLE = "throttle"
    MEMORY = "memory alarm"
    FULL_DISK = "full disk"
    STORM = "storm"


LASTS: Final[Mapping[FaultKind, tuple[float, float]]] = {
    FaultKind.KILL: (0.0, 3.0),
    FaultKind.PAUSE: (1.0, 20.0),
    FaultKind.RESTART: (0.0, 1.0),
    FaultKind.CUT: (0.0, 4.0),
    FaultKind.STALL: (1.0, 12.0),
    FaultKind.BLACK_HOLE: (2.0, 12.0),
    FaultKind.DELAY: (3.0, 12.0),
    FaultKind.THROTTLE: (3.0, 12.0),
    FaultKind.MEMORY: (2.0, 10.0),
    FaultKind.FULL_DISK: (2.0, 12.0),
    FaultKind.STORM: (0.0, 1.0),
}
"""Seconds from the breaking to the mending, at least and at most."""
_OF_PROCESSES: Final = (FaultKind.KILL, FaultKind.PAUSE, FaultKind.RESTART)
_OF_LINKS: Final = (FaultKind.CUT, FaultKind.STALL, FaultKind.BLACK_HOLE, FaultKind.DELAY, FaultKind.THROTTLE)
_OF_BROKER: Final = [
    *[(FaultKind.KILL, BROKER)] * 3, (FaultKind.PAUSE, BROKER), (FaultKind.RESTART, BROKER), (FaultKind.MEMORY, BROKER),
]  # fmt: skip
_OF_CLUSTER: Final = [(FaultKind.KILL, LEADER), (FaultKind.KILL, NODE), (FaultKind.RESTART, NODE)]
"""A paused node is no crash of one: RabbitMQ's metadata waits for it, everywhere."""
_OF_DATABASE: Final = [*[(FaultKind.KILL, DATABASE)] * 3, *[(FaultKind.RESTART, DATABASE)] * 2]
_OF_FILE: Final = [(FaultKind.FULL_DISK, DISK)] * 2


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is broken for a while."""

    moment: float
    """Seconds after the beginning."""
    kind: FaultKind
    target: str
    duration: float
    """Seconds until it is mended; a process that was down needs some more to serve."""

    @property
    def takes(self) -> str:
        """What it breaks for itself."""
        return taken_by(self.target)

    @property
    def end(self) -> float:
        """About when everything works again."""
        returning = _RETURNING[self.target] if self.kind in (FaultKind.KILL, FaultKind.RESTART) else 0.0
        return self.moment + self.duration + returning

    def __str__(self) -> str:
        return f"{self.moment:6.1f} s  {self.kind}: {self.target}, {self.duration:.1f} s"


def taken_by(target: str) -> str:
    """Return what a fault of this target takes for itself."""
    for gateway in GATEWAYS:
        if gateway in target:
            return gateway
    if SPARE in target:
        return SPARE
    return _KEEPERS if target in (BROKER, NODE, LEADER, DATABASE) or HISTORY in target else target


def links(layout: Layout) -> tuple[str, ...]:
    """Return the links that are broken."""
    return (*layout.to_broker, *layout.of_clients, *layout.to_database)


def draw(seed: int, seconds: float, layout: Layout) -> list[Fault]:
    """Return the faults of so many seconds, in order."""
    chance = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
    deck = _cards(chance, layout)
    faults: list[Fault] = []
    moment, misfits = _FIRST, 0
    while moment < seconds and misfits < _MISFITS:
        kind, target = next(deck)
        begin = max(moment, _free(faults, target))
        least, most = LASTS[kind]
        duration = least + (most - least) * chance.random() ** 2  # mostly short, for there to be many
        fault = Fault(round(begin, 1), kind, target, round(duration, 1))
        if fault.end > seconds:
            misfits += 1
            continue
        faults.append(fault)
        moment = begin + chance.uniform(*_PAUSES)
    return faults


def _free(faults: Sequence[Fault], target: str) -> float:
    """Return from when on this target may be broken."""
    taken = taken_by(target)
    rested = max((fault.end + REST for fault in faults if fault.takes == taken), default=0.0)
    ends = sorted((fault.end for fault in faults), reverse=True)
    return max(rested, ends[TOGETHER - 1] if len(ends) >= TOGETHER else 0.0)


def _cards(chance: random.Random, layout: Layout) -> Iterator[tuple[FaultKind, str]]:
    """Return what can be broken and how, each once before any comes again; the death of what keeps, more often."""
    processes = (*SERVICES, *layout.histories[1:])
    deck = [(kind, target) for kind in _OF_PROCESSES for target in processes]
    deck += [(kind, target) for kind in _OF_LINKS for target in links(layout)]
    deck += [(FaultKind.STORM, target) for target in layout.of_clients]
    deck += [*[(FaultKind.KILL, HISTORY)] * 2, *(_OF_DATABASE if layout.to_database else _OF_FILE)]
    deck += _OF_CLUSTER * 3 if layout.cluster else _OF_BROKER
    while True:
        chance.shuffle(deck)
        yield from deck
