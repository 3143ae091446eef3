"""What a run leaves behind to be judged: what was published and confirmed, what each follower saw, what is stored.

All moments are seconds of one clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(slots=True)
class Publication:
    """One publication, however often it was sent."""

    channel: str
    id: str
    text: str
    sent: float
    """When it was sent first."""
    confirmed: float | None = None
    """When its publisher first saw it confirmed, None if never."""


@dataclass(frozen=True, slots=True)
class Subscribed:
    """A follower was told that it is subscribed."""

    at: float
    epoch: str
    offset: int
    was_recovering: bool = False
    recovered: bool = False


@dataclass(frozen=True, slots=True)
class Received:
    """A follower was handed a publication."""

    at: float
    offset: int
    """0 on a live channel."""
    id: str
    text: str


@dataclass(frozen=True, slots=True)
class Away:
    """A follower noticed that it is not subscribed now, and tries to be again."""

    at: float
    code: int


@dataclass(frozen=True, slots=True)
class Ended:
    """A follower was told that it is not subscribed any more, and does not try again."""

    at: float
    code: int


Entry = Subscribed | Received | Away | Ended


@dataclass(frozen=True, slots=True)
class Diary:
    """What one follower saw of one channel, in order."""

    follower: str
    channel: str
    entries: Sequence[Entry]
    to_the_end: bool = True
    """Whether it stayed until all was quiet, and must have everything."""
    disturbed: Sequence[tuple[float, float]] = ()
    """When something was broken that live publications need on their way to it."""


@dataclass(frozen=True, slots=True)
class History:
    """A durable channel as it is stored at the end."""

    epoch: str
    top: int
    stored: Sequence[tuple[int, str, str]]
    """(offset, id, text), the oldest first."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One run."""

    windows: Mapping[str, int]
    """How many publications each durable channel keeps; what is not in here is a live channel."""
    publications: Sequence[Publication]
    diaries: Sequence[Diary]
    histories: Mapping[str, History]
    upheavals: Sequence[tuple[float, float]] = ()
    """When the broker went and was back."""


class Kind(StrEnum):
    """What may be wrong."""

    LOST = "lost"
    DUPLICATED = "duplicated"
    REORDERED = "reordered"
    FALSELY_RECOVERED = "falsely recovered"
    NOT_RECOVERED = "not recovered though the window holds what was missed"
    CONTRADICTION = "two publications under one offset"
    FOREIGN = "nobody published this"
    EPOCH = "another epoch though nothing was removed"
    ENDED = "ended for good"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that must not be."""

    kind: Kind
    channel: str
    what: str
    follower: str = ""
    """Empty: whoever it was that looked."""
    at: float = field(default=0.0, compare=False)

    def __str__(self) -> str:
        who = f", {self.follower}" if self.follower else ""
        return f"{self.kind}: {self.channel}{who}: {self.what}"
