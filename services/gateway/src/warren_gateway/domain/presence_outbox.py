"""What is still to be reported to presence, in order and bounded.

Changes that may have been lost on their way are repeated before all that waits: only they tell of a
leave to a partition that never knew its member. Channels whose changes find no room are reported whole
instead, as they are once everything before has been reported.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from warren_gateway.domain.presence_table import PresenceTable, Room
from warren_shared.contracts.presence import Member


@dataclass(frozen=True, slots=True)
class Change:
    """A member joined or left."""

    channel: str
    member: Member
    announce: bool
    joined: bool


@dataclass(frozen=True, slots=True)
class WholeRoom:
    """Everyone in a channel; replaces what was reported of it."""

    room: Room
    sync: str


@dataclass(frozen=True, slots=True)
class SyncEnd:
    """All rooms of a sync were reported."""

    sync: str


Report = Change | WholeRoom | SyncEnd
_Numbered = tuple[int, Change]


class _Sync:
    """Rooms still to be reported, as they were at one moment."""

    __slots__ = ("answers", "id", "number", "rooms")

    def __init__(self, identifier: str, rooms: Sequence[Room], *, number: int = 0, answers: bool) -> None:
        self.id, self.number, self.answers = identifier, number, answers
        self.rooms: Iterator[Room] = iter(rooms)


class PresenceOutbox:
    """Holds at most ``changes`` changes that are not confirmed, and ``syncs`` requested syncs;
    ``prefix`` begins the ids of syncs nobody requested.
    """

    def __init__(self, table: PresenceTable, *, changes: int, syncs: int, prefix: str) -> None:
        self._table, self._most_changes, self._most_syncs, self._prefix = table, changes, syncs, prefix
        self._queue: deque[_Numbered | _Sync] = deque()
        self._taken: list[_Numbered] = []
        """The changes of which it is still to be said what became of them."""
        self._changes = 0
        self._requested: dict[str, _Sync] = {}
        self._ended: dict[str, int] = {}
        """The numbers of the requests whose end was taken, until it is said what became of it."""
        self._requests = 0
        """How many requests there were: each has a number, which it keeps when it is answered anew."""
        self._unreported: set[str] = set()
        self._queued = self._settled = 0
        """The numbers of the last change that was put in the queue, and of the last that was confirmed."""
        self._latest: dict[str, int] = {}
        """By channel: the number of its latest change that was not confirmed."""
        self._missing: set[str] = set()
        """Channels that presence does not know to be as they are, until they were reported whole."""
        self._own_syncs = 0

    def __bool__(self) -> bool:
        """Whether anything waits."""
        return bool(self._queue or self._unreported)

    def change(self, change: Change) -> None:
        """Have a change reported, or its channel if there is no room."""
        if self._changes >= self._most_changes:
            self._miss(change.channel)
            return
        self._changes += 1
        self._queued += 1
        self._queue.append((self._queued, change))
        self._latest[change.channel] = self._queued

    def mark(self, channel: str) -> int:
        """Return what ``reported`` is to be asked with: it stands for all changes of the channel until now."""
        return self._latest.get(channel, 0)

    def reported(self, channel: str, mark: int) -> bool:
        """Whether the channel's changes up to ``mark`` were confirmed, one by one or in a whole room."""
        return self._settled >= mark and channel not in self._missing

    def answer(self, sync: str) -> None:
        """Have all rooms reported for a request; the oldest request is dropped if there are too many."""
        if sync in self._requested:
            return
        while len(self._requested) >= self._most_syncs:
            oldest = min(self._requested.values(), key=lambda request: request.number)
            self._queue.remove(self._requested.pop(oldest.id))
        self._requests += 1
        self._begin(sync, self._requests)

    def report_all(self) -> None:
        """Have all rooms reported of our own accord."""
        self._unreported.update(room.channel for room in self._table.rooms())

    def take(self, at_most: int) -> list[Report]:
        """Return what to report next; then say to ``confirmed`` or ``lost`` what became of it."""
        if not self._queue and self._unreported:
            self._own_syncs += 1
            rooms = self._table.rooms(sorted(self._unreported))
            self._queue.append(_Sync(f"{self._prefix}.{self._own_syncs}", rooms, answers=False))
            self._unreported.clear()
        taken: list[Report] = []
        while self._queue and len(taken) < at_most:
            head = self._queue[0]
            if isinstance(head, tuple):
                taken.append(head[1])
                self._taken.append(head)
                self._queue.popleft()
            elif (room := next(head.rooms, None)) is not None:
                taken.append(WholeRoom(room, head.id))
            else:
                self._queue.popleft()
                if head.answers:
                    del self._requested[head.id]
                    self._ended[head.id] = head.number
                    taken.append(SyncEnd(head.id))
        return taken

    def confirmed(self, taken: Sequence[Report]) -> None:
        """Take note that all of ``taken`` was reported."""
        if self._taken:
            self._settled = self._taken[-1][0]
        for _, change in self._taken:
            if self._latest.get(change.channel, 0) <= self._settled:
                self._latest.pop(change.channel, None)
        self._changes -= len(self._taken)
        self._taken.clear()
        self._ended.clear()
        for report in taken:
            if isinstance(report, WholeRoom) and report.room.channel not in self._unreported:
                # A room that was requested may be older than what its channel is to be reported whole for.
                self._missing.discard(report.room.channel)

    def lost(self, taken: Sequence[Report]) -> None:
        """Take note that some of ``taken`` may not have been reported: it will be again. A request that
        was being answered is answered from the start.
        """
        self._repeat()
        again: dict[str, None] = {}
        for report in taken:
            if isinstance(report, Change):
                continue
            if isinstance(report, SyncEnd) or report.sync in self._requested:
                again[report.sync] = None
            else:
                self._miss(report.room.channel)
        for sync in again:
            begun = self._requested.pop(sync, None)
            if begun is not None:
                self._queue.remove(begun)
            self._begin(sync, self._ended.get(sync, 0) if begun is None else begun.number)
        self._ended.clear()

    def _repeat(self) -> None:
        """Put what was taken back, of each client in each channel only the last: some of it may have
        arrived, and presence announces nobody twice who is, or is gone, as it knows already.
        """
        last = {(change.channel, change.member.client): number for number, change in self._taken}
        repeated = [
            (number, change) for number, change in self._taken if last[change.channel, change.member.client] == number
        ]
        self._changes -= len(self._taken) - len(repeated)
        self._queue.extendleft(reversed(repeated))
        self._taken.clear()

    def _miss(self, channel: str) -> None:
        self._unreported.add(channel)
        self._missing.add(channel)

    def _begin(self, sync: str, number: int) -> None:
        self._requested[sync] = _Sync(sync, self._table.rooms(), number=number, answers=True)
        self._queue.append(self._requested[sync])
