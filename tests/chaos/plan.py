"""What will be broken when: drawn from a seed, so that the same seed breaks the same things again.

The rule that keeps a plan within the promise (the crash of any one process): each fault takes what it
breaks for itself, and two faults run at the same time only if they take different things. Broker and history
are one thing, since between them they keep what was confirmed. No more than two things are broken at a time,
and what was broken has a rest before it is broken again. Links belong to what they lead to.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

BROKER: Final = "rabbitmq"
GATEWAYS: Final = ("gateway-1", "gateway-2")
HISTORY: Final = "history"
NODE: Final = "a node of the broker"
LEADER: Final = "the node that leads a history queue"
DISK: Final = f"the disk of {HISTORY}"
PROCESSES: Final = (BROKER, HISTORY, *GATEWAYS, "presence", "auth")
TO_BROKER: Final = tuple(f"{service} to broker" for service in (HISTORY, *GATEWAYS))
LINKS: Final = (*TO_BROKER, *(f"clients to {gateway}" for gateway in GATEWAYS))
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
_RETURNING: Final = {**dict.fromkeys((BROKER, NODE, LEADER), 8.0), **dict.fromkeys(PROCESSES[1:], 2.0)}
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
    return _KEEPERS if target in (BROKER, NODE, LEADER) or HISTORY in target else target


def draw(seed: int, seconds: float, *, cluster: bool = False) -> list[Fault]:
    """Return the faults of so many seconds, in order. ``cluster``: the broker has several nodes."""
    chance = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
    deck = _cards(chance, cluster=cluster)
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


def _cards(chance: random.Random, *, cluster: bool) -> Iterator[tuple[FaultKind, str]]:
    """Return what can be broken and how, each once before any comes again; the death of what keeps, more often."""
    processes = [each for each in PROCESSES if each != BROKER]
    deck = [(kind, target) for kind in _OF_PROCESSES for target in processes]
    deck += [(kind, target) for kind in _OF_LINKS for target in LINKS]
    deck += [(FaultKind.STORM, target) for target in LINKS if target.startswith("clients")]
    deck += [*[(FaultKind.KILL, HISTORY)] * 2, *[(FaultKind.FULL_DISK, DISK)] * 2]
    deck += _OF_CLUSTER * 3 if cluster else _OF_BROKER
    while True:
        chance.shuffle(deck)
        yield from deck
