"""Where one followed durable channel is in its stream, and what that means for what arrives.

Within an epoch offsets count without gaps. The next one is delivered, a lower one is a duplicate, a
higher one shows a gap: it is held until the missing range has been read from history. Whatever
cannot be made whole is lost, and its subscribers must be told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from warren_gateway.domain.publications import Publication
from warren_shared.contracts.publication import Position


class Verdict(Enum):
    """What is to be done with a publication that arrived."""

    DELIVER = auto()
    """It is the next one; afterwards ``release`` may yield more."""
    DROP = auto()
    """It was here before."""
    HOLD = auto()
    """It is kept; something before it is missing."""
    LOST = auto()
    """The stream cannot be continued."""


class Filling(Enum):
    """How a stream stands after a read was worked in."""

    WHOLE = auto()
    MORE = auto()
    """It came further, but another read is needed."""
    LOST = auto()
    """History does not have what is missing."""


@dataclass(frozen=True, slots=True)
class HoldLimit:
    """How much may be held while a gap is being filled."""

    publications: int = 4096
    bytes: int = 4_194_304


@dataclass(frozen=True, slots=True)
class Ask:
    """What a stream needed to know when a read was sent."""

    offset: int
    """Where it was: everything after this is asked for."""
    reach: int
    """The read must at least reach this far, for so far the stream is known to go."""


@dataclass(frozen=True, slots=True)
class Filled:
    """What came of a read."""

    state: Filling
    deliver: Sequence[Publication] = ()
    """In order; the position is already past them."""


class Held:
    """Publications that came before their turn."""

    __slots__ = ("_by_offset", "_bytes", "_limit")

    def __init__(self, limit: HoldLimit) -> None:
        self._limit = limit
        self._by_offset: dict[int, Publication] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._by_offset)

    def put(self, publication: Publication) -> bool:
        """Keep a publication; returns False if there is no room for it."""
        if publication.offset in self._by_offset:
            return True
        size = self._bytes + publication.size
        if len(self._by_offset) >= self._limit.publications or size > self._limit.bytes:
            return False
        self._by_offset[publication.offset] = publication
        self._bytes = size
        return True

    def take(self, offset: int) -> Publication | None:
        """Give out the publication with this offset."""
        publication = self._by_offset.pop(offset, None)
        if publication is not None:
            self._bytes -= publication.size
        return publication

    def drop_until(self, offset: int) -> None:
        """Forget everything up to ``offset``."""
        for held in [held for held in self._by_offset if held <= offset]:
            self.take(held)

    def clear(self) -> None:
        self._by_offset.clear()
        self._bytes = 0

    @property
    def highest(self) -> int:
        """The highest offset held, 0 if nothing is."""
        return max(self._by_offset, default=0)


class Stream:
    """The position of one channel. Without one, arrivals are held until ``begin``."""

    __slots__ = ("_early_epoch", "_held", "doubtful", "epoch", "offset")

    def __init__(self, limit: HoldLimit) -> None:
        self._held = Held(limit)
        self._early_epoch = ""
        self.epoch = ""
        """Empty: there is no position yet."""
        self.offset = 0
        self.doubtful = False
        """Whether something may have been missed, so that history must be asked."""

    @property
    def positioned(self) -> bool:
        """Whether there is a position."""
        return bool(self.epoch)

    @property
    def position(self) -> Position:
        """The epoch, and the offset up to which everything was given out."""
        return Position(self.epoch, self.offset)

    @property
    def gapped(self) -> bool:
        """Whether something is known to be missing."""
        return self.positioned and len(self._held) > 0

    def forget(self) -> None:
        """Lose the position."""
        self._held.clear()
        self.epoch = self._early_epoch = ""
        self.offset = 0
        self.doubtful = False

    def begin(self, epoch: str, top: int) -> Sequence[Publication]:
        """Take a position that was read; returns what was held and comes right after it."""
        if len(self._held) and self._early_epoch != epoch:
            # Either side may be the newer one: only another read can tell.
            self._held.clear()
            self.doubtful = True
        self.epoch, self.offset = epoch, top
        self._held.drop_until(top)
        return self.release()

    def offer(self, epoch: str, publication: Publication) -> Verdict:
        """Judge a publication that arrived; the position moves if it is to be delivered."""
        if epoch != self.epoch:
            return Verdict.LOST if self.epoch else self._hold_early(epoch, publication)
        offset = publication.offset
        if offset == self.offset + 1:
            self.offset = offset
            return Verdict.DELIVER
        if offset <= self.offset:
            return Verdict.DROP
        return Verdict.HOLD if self._held.put(publication) else Verdict.LOST

    def release(self) -> Sequence[Publication]:
        """Give out what was held and is next now."""
        released: list[Publication] = []
        while len(self._held) and (following := self._held.take(self.offset + 1)) is not None:
            self.offset += 1
            released.append(following)
        return released

    def ask(self) -> Ask:
        """Return what a read sent now is to answer; it settles all doubts there are now."""
        self.doubtful = False
        return Ask(self.offset, max(self.offset, self._held.highest))

    def fill(self, ask: Ask, epoch: str, top: int, publications: Sequence[Publication]) -> Filled:
        """Work in a read made for ``ask``: ``publications`` ascend and end at ``top``, or earlier if
        there were too many for one read.
        """
        if epoch != self.epoch or top < ask.reach:
            return Filled(Filling.LOST)
        deliver: list[Publication] = []
        for publication in publications:
            if publication.offset > self.offset + 1:
                return Filled(Filling.LOST, deliver)
            if publication.offset == self.offset + 1:
                self.offset += 1
                deliver.append(publication)
        self._held.drop_until(self.offset)
        deliver.extend(self.release())
        if self.offset < top and (not publications or self.offset == ask.offset):
            return Filled(Filling.LOST, deliver)
        return Filled(Filling.MORE if self.offset < top or self.gapped else Filling.WHOLE, deliver)

    def _hold_early(self, epoch: str, publication: Publication) -> Verdict:
        if epoch != self._early_epoch:
            self._held.clear()
            self._early_epoch = epoch
        if not self._held.put(publication):
            self._held.clear()
            self.doubtful = True
        return Verdict.HOLD
