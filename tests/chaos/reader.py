"""One follower's diary of one durable channel, held to the promise."""

from __future__ import annotations

from dataclasses import dataclass, field

from chaos.evidence import Away, Diary, Ended, Entry, Finding, Kind, Received, Subscribed


@dataclass(slots=True)
class Reader:
    """Goes through a diary, in order, and keeps what it finds."""

    diary: Diary
    window: int
    """How many publications the channel keeps."""
    findings: list[Finding] = field(default_factory=list)
    received: dict[int, str] = field(default_factory=dict)
    """Ids by offset."""
    epoch: str | None = None
    _offset: int = 0
    _claimed: bool = False
    """Whether the follower was told that it was recovered, and has received nothing since."""
    _holes: dict[int, tuple[Kind, float]] = field(default_factory=dict)
    _ended: Ended | None = None

    def read(self, top: int) -> None:
        """Read all of it; ``top`` is the channel's last offset."""
        for entry in self.diary.entries:
            self._take(entry)
        if self.diary.to_the_end:
            self._miss(self._offset + 1, top, Kind.LOST, self.diary.entries[-1].at if self.diary.entries else 0.0)
        if self._offset > top:
            self._find(Kind.LOST, f"it is at {self._offset}, the stored stream ends with {top}", 0.0)
        self._report_holes()
        if self.diary.to_the_end and self._ended is not None:
            self._find(Kind.ENDED, f"unsubscribed with {self._ended.code}", self._ended.at)

    def _take(self, entry: Entry) -> None:
        match entry:
            case Subscribed():
                self._ended = None
                self._subscribed(entry)
            case Received():
                self._receive(entry)
            case Ended():
                self._ended = entry
            case Away():
                pass

    def _subscribed(self, entry: Subscribed) -> None:
        if self.epoch is None:
            self.epoch, self._offset = entry.epoch, entry.offset
        elif entry.was_recovering and entry.recovered:
            self._claimed = True
            if entry.epoch != self.epoch:
                self._find(Kind.FALSELY_RECOVERED, f"from epoch {self.epoch} to {entry.epoch}", entry.at)
        elif entry.was_recovering:
            self._told(entry)
        elif (entry.epoch, entry.offset) != (self.epoch, self._offset):
            self._forgotten(entry)

    def _told(self, entry: Subscribed) -> None:
        """Excuse what it missed, if too much for the window, and nothing else: no run removes what is stored."""
        if entry.epoch != self.epoch:
            self._find(Kind.EPOCH, f"{self.epoch}, then {entry.epoch}", entry.at)
        elif entry.offset - self._offset <= self.window:
            what = f"from {self._offset} to {entry.offset}; {self.window} are kept"
            self._find(Kind.NOT_RECOVERED, what, entry.at)
        self.epoch, self._offset, self._claimed = entry.epoch, entry.offset, False

    def _forgotten(self, entry: Subscribed) -> None:
        if entry.epoch != self.epoch:
            self._find(Kind.EPOCH, f"{self.epoch}, then {entry.epoch}", entry.at)
        self._miss(self._offset + 1, entry.offset, Kind.LOST, entry.at)
        self.epoch, self._offset, self._claimed = entry.epoch, entry.offset, False

    def _receive(self, entry: Received) -> None:
        if self.epoch is None:
            self._find(Kind.FOREIGN, f"{entry.offset} came before it was subscribed", entry.at)
        elif entry.offset <= self._offset:
            self._late(entry)
            return
        else:
            kind = Kind.FALSELY_RECOVERED if self._claimed else Kind.LOST
            self._miss(self._offset + 1, entry.offset - 1, kind, entry.at)
        self._offset, self._claimed = entry.offset, False
        self.received[entry.offset] = entry.id

    def _late(self, entry: Received) -> None:
        if entry.offset in self.received:
            self._find(Kind.DUPLICATED, f"{entry.offset} came again", entry.at)
        else:
            self._holes.pop(entry.offset, None)
            self._find(Kind.REORDERED, f"{entry.offset} came after {self._offset}", entry.at)
        self.received.setdefault(entry.offset, entry.id)

    def _miss(self, first: int, last: int, kind: Kind, at: float) -> None:
        for offset in range(first, last + 1):
            self._holes[offset] = (kind, at)

    def _report_holes(self) -> None:
        """Report what never came, in ranges."""
        offsets = sorted(self._holes)
        start = 0
        for index, offset in enumerate(offsets):
            kind, at = self._holes[offset]
            following = offsets[index + 1] if index + 1 < len(offsets) else None
            if following != offset + 1 or self._holes[following] != (kind, at):
                self._find(kind, f"{offsets[start]} to {offset} never came", at)
                start = index + 1

    def _find(self, kind: Kind, what: str, at: float) -> None:
        self.findings.append(Finding(kind, self.diary.channel, what, self.diary.follower, at))
