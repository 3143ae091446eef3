"""The judgement: from the log of publications, the followers' diaries and what is stored, whatever must not be.

On durable channels: every confirmed publication has one offset, and each follower has each offset once and in
order, from where it began to the end, but for ranges of which it was told that it cannot have them because
the window is smaller. What was never confirmed may be there or not, once. On live channels: at most once and in
order, and nothing is missing where nothing was broken.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf

from chaos.evidence import Away, Diary, Ended, Evidence, Finding, History, Kind, Publication, Received, Subscribed
from chaos.reader import Reader

_SETTLING = 1.0
"""Seconds for which a subscription may just have been made."""
_UNDER_WAY = 5.0
"""Seconds for which a live publication may still be under way on a busy machine, and be lost to what breaks then."""


def check(evidence: Evidence) -> list[Finding]:
    """Return everything that is wrong, by channel."""
    diaries: defaultdict[str, list[Diary]] = defaultdict(list)
    publications: defaultdict[str, list[Publication]] = defaultdict(list)
    for diary in evidence.diaries:
        diaries[diary.channel].append(diary)
    for publication in evidence.publications:
        publications[publication.channel].append(publication)
    findings: list[Finding] = []
    for channel in sorted({*diaries, *publications, *evidence.windows}):
        if channel in evidence.windows:
            stream = _Stream(channel, publications[channel], evidence.histories[channel], evidence.windows[channel])
            findings += stream.judge(diaries[channel], evidence.upheavals)
        else:
            findings += check_live(publications[channel], diaries[channel])
    return findings


@dataclass(slots=True)
class _Stream:
    """One durable channel."""

    channel: str
    publications: Sequence[Publication]
    history: History
    window: int
    ids: dict[int, str] = field(default_factory=dict)
    """By offset, as far as anybody knows."""
    first_received: dict[str, float] = field(default_factory=dict)
    texts: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.texts = {each.id: each.text for each in self.publications}

    def judge(self, diaries: Iterable[Diary], upheavals: Sequence[tuple[float, float]]) -> Iterator[Finding]:
        yield from self._stored()
        for diary in diaries:
            yield from self._read(diary)
        yield from self._doubled()
        yield from self._confirmed_are_there()
        yield from self._in_order(upheavals)

    def _stored(self) -> Iterator[Finding]:
        offsets = [offset for offset, _, _ in self.history.stored]
        self.ids |= {offset: message_id for offset, message_id, _ in self.history.stored}
        wanted = list(range(self.history.top - min(self.window, self.history.top) + 1, self.history.top + 1))
        if offsets != wanted:
            odd = sorted(set(offsets) ^ set(wanted))[:5]
            yield self._finding(Kind.LOST, f"what is stored has gaps, or too much, or disorder, at {odd}")
        yield from self._published((0.0, message_id, text) for _, message_id, text in self.history.stored)

    def _read(self, diary: Diary) -> Iterator[Finding]:
        reader = Reader(diary, self.window)
        reader.read(self.history.top)
        yield from reader.findings
        if reader.epoch not in (None, self.history.epoch):
            yield self._finding(Kind.EPOCH, f"{reader.epoch}; it is {self.history.epoch}", diary.follower)
        came = [entry for entry in diary.entries if isinstance(entry, Received)]
        yield from self._published(((each.at, each.id, each.text) for each in came), diary.follower)
        for entry in came:
            self.first_received[entry.id] = min(entry.at, self.first_received.get(entry.id, inf))
        for offset, message_id in reader.received.items():
            if self.ids.setdefault(offset, message_id) != message_id:
                what = f"{offset} is {message_id} here and {self.ids[offset]} elsewhere"
                yield self._finding(Kind.CONTRADICTION, what, diary.follower)

    def _published(self, seen: Iterable[tuple[float, str, str]], follower: str = "") -> Iterator[Finding]:
        for at, message_id, text in seen:
            if self.texts.get(message_id) != text:
                yield self._finding(Kind.FOREIGN, f"{message_id}: {text[:40]!r}", follower, at)

    def _doubled(self) -> Iterator[Finding]:
        offsets: defaultdict[str, list[int]] = defaultdict(list)
        for offset, message_id in sorted(self.ids.items()):
            offsets[message_id].append(offset)
        for message_id, places in offsets.items():
            if len(places) > 1:
                at = self.first_received.get(message_id, 0.0)
                yield self._finding(Kind.DUPLICATED, f"{message_id} has the offsets {places}", at=at)

    def _confirmed_are_there(self) -> Iterator[Finding]:
        known = set(self.ids.values())
        missing = [each for each in self.publications if each.confirmed is not None and each.id not in known]
        unknown = max(0, self.history.top - len(self.ids))  # trimmed, and nobody who was there then
        if len(missing) > unknown:
            what = f"{len(missing)} confirmed, {missing[0].id} among them, and {unknown} offsets that nobody knows"
            yield self._finding(Kind.LOST, what, at=missing[0].sent)

    def _in_order(self, upheavals: Sequence[tuple[float, float]]) -> Iterator[Finding]:
        """Hold what was sent after another's confirm to a higher offset, unless the other waited in a dying broker."""
        offsets = {message_id: offset for offset, message_id in self.ids.items()}
        confirmed = sorted(
            (each.confirmed, offsets[each.id], each.id)
            for each in self.publications
            if each.confirmed is not None and each.id in offsets and not self._waited(each, upheavals)
        )
        index, highest, before = 0, 0, ""
        for later in sorted((each for each in self.publications if each.id in offsets), key=lambda each: each.sent):
            while index < len(confirmed) and confirmed[index][0] < later.sent:
                _, offset, message_id = confirmed[index]
                highest, before = max((highest, before), (offset, message_id))
                index += 1
            if offsets[later.id] < highest:
                what = f"{later.id} ({offsets[later.id]}) was sent after the confirm of {before} ({highest})"
                yield self._finding(Kind.REORDERED, what, at=later.sent)

    def _waited(self, publication: Publication, upheavals: Sequence[tuple[float, float]]) -> bool:
        arrived = self.first_received.get(publication.id, inf)
        return any(publication.sent <= back and went <= arrived for went, back in upheavals)

    def _finding(self, kind: Kind, what: str, follower: str = "", at: float = 0.0) -> Finding:
        return Finding(kind, self.channel, what, follower, at)


def check_live(publications: Sequence[Publication], diaries: Iterable[Diary]) -> Iterator[Finding]:
    """Hold what came on one live channel to once, in order, and all of it where nothing was broken.

    The publications must be those of one publisher, in the order in which it sent them.
    """
    numbers = {each.id: number for number, each in enumerate(publications)}
    for diary in diaries:
        yield from _came_in_order(diary, numbers)
        yield from _kept_flowing(diary, publications)


def _came_in_order(diary: Diary, numbers: Mapping[str, int]) -> Iterator[Finding]:
    seen: set[int] = set()
    highest = -1
    for entry in diary.entries:
        if not isinstance(entry, Received):
            continue
        number = numbers.get(entry.id)
        if number is None:
            yield Finding(Kind.FOREIGN, diary.channel, entry.id, diary.follower, entry.at)
            continue
        if number <= highest:
            kind = Kind.DUPLICATED if number in seen else Kind.REORDERED
            yield Finding(kind, diary.channel, entry.id, diary.follower, entry.at)
        seen.add(number)
        highest = max(highest, number)


def _kept_flowing(diary: Diary, publications: Sequence[Publication]) -> Iterator[Finding]:
    came = {entry.id for entry in diary.entries if isinstance(entry, Received)}
    spans = steady_spans(diary)
    for publication in publications:
        if publication.confirmed is None or publication.id in came:
            continue
        first, last = publication.sent - _SETTLING, publication.confirmed + _UNDER_WAY
        steady = any(begin <= first and last <= end for begin, end in spans)
        if steady and not any(begin <= last and first <= end for begin, end in diary.disturbed):
            yield Finding(Kind.LOST, diary.channel, publication.id, diary.follower, publication.sent)


def steady_spans(diary: Diary) -> list[tuple[float, float]]:
    """Return from when to when the follower was subscribed; what is open at the end is up to its last entry."""
    spans, since = [], None
    for entry in diary.entries:
        match entry:
            case Subscribed() if since is None:
                since = entry.at
            case Away() | Ended() if since is not None:
                spans.append((since, entry.at))
                since = None
    if since is not None:
        spans.append((since, diary.entries[-1].at))
    return spans
