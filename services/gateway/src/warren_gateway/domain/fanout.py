"""The one path from a publication to sockets.

What was published on a channel since the last loop turn comes encoded once for each encoding that is
spoken there. It is packed once for each framing and written once to each subscriber. A turn writes to a
bounded number of recipients, taking channels in turn, so that a large channel neither stalls the loop nor
starves the others; the order of each channel is kept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import islice
from operator import length_hint
from typing import Final, Protocol

from warren_gateway.domain.encoding import Encoding, Pushes
from warren_gateway.domain.hub import Audience, Group, Subscription
from warren_gateway.domain.subscribers import Framing
from warren_gateway.domain.tags_filter import Tags, TagsFilter

_NO_TAGS: Final[Tags] = {}
Tell = Callable[[Subscription], None]


class Tally:
    """What the fan-out did for one namespace, counted for metrics."""

    __slots__ = ("deliveries", "overflows", "publications")

    def __init__(self) -> None:
        self.publications = self.deliveries = self.overflows = 0


class FanoutObserver(Protocol):
    """Who is told of passes, for traces and metrics."""

    def writing(self, channel: str, traces: Sequence[object], recipients: int) -> AbstractContextManager[object]:
        """A pass with traced publications begins; the context spans its first slice."""

    def written(self, seconds: float) -> None:
        """A pass ended, so long after its first publication came."""


class Pass(Protocol):
    """Work over the recipients of a channel, done in slices."""

    size: int
    """Bytes it holds until it is done."""

    def serve(self, budget: int) -> int:
        """Serve at most ``budget`` recipients, return how many."""

    @property
    def done(self) -> bool:
        """Whether all are served."""


class Line:
    """What waits to be written on one channel, in order."""

    __slots__ = ("audience", "channel", "gathering", "passes", "pending", "queued", "tally")

    def __init__(self, channel: str, tally: Tally) -> None:
        self.channel = channel
        self.tally = tally
        self.audience = Audience()
        self.gathering: Gathering | None = None
        """What came since the last pass began."""
        self.passes: deque[Pass] = deque()
        self.pending = 0
        """Bytes of pushes that wait."""
        self.queued = False

    @property
    def next_size(self) -> int:
        """Bytes of what will be written next, to each of its recipients."""
        if self.passes:
            return self.passes[0].size
        return 0 if self.gathering is None else self.gathering.size


class Gathering:
    """Pushes that will be written together. Each counts with its bytes in all encodings."""

    __slots__ = ("_items", "_wanted", "count", "everything", "opened", "publications", "size", "traces")

    def __init__(self, opened: float, *, filtered: bool = False) -> None:
        """``filtered``: somebody who will receive it has a tags filter."""
        self._items: list[tuple[Pushes, Tags | None]] | None = [] if filtered else None
        """One after the other, with the tags of publications; None: a join or leave."""
        self._wanted: dict[TagsFilter, tuple[bool, ...]] = {}
        self.opened = opened
        self.count = 0
        """How many publications."""
        self.publications: dict[Encoding, list[bytes]] = {}
        self.everything: dict[Encoding, list[bytes]] | None = None
        """With joins and leaves among them, if there are any."""
        self.traces: list[object] = []
        self.size = 0

    def publication(self, push: Pushes, size: int, trace: object | None, tags: Tags) -> None:
        self.count += 1
        if self._items is not None:
            self._items.append((push, tags))
        gathered = self.publications
        for encoding, encoded in push.items():
            if encoding in gathered:
                gathered[encoding].append(encoded)
            else:
                gathered[encoding] = [encoded]
        if self.everything is not None:
            self._among_everything(push, self.everything)
        if trace is not None:
            self.traces.append(trace)
        self.size += size

    def join_or_leave(self, push: Pushes, size: int) -> None:
        if self._items is not None:
            self._items.append((push, None))
        if self.everything is None:
            self.everything = {encoding: pushes.copy() for encoding, pushes in self.publications.items()}
        self._among_everything(push, self.everything)
        self.size += size

    def for_group(self, group: Group) -> Sequence[bytes]:
        """Return what a group is to receive."""
        gathered = self.everything if group.joins and self.everything is not None else self.publications
        return gathered.get(group.encoding, ())

    def wanted(self, tags_filter: TagsFilter) -> tuple[bool, ...]:
        """Return for each item whether the filter lets it through; found out once, whoever has the filter."""
        wanted = self._wanted.get(tags_filter)
        if wanted is None:
            matches, items = tags_filter.matches, self._items or ()
            wanted = self._wanted[tags_filter] = tuple(tags is None or matches(tags) for _, tags in items)
        return wanted

    def for_filtered_group(self, group: Group, wanted: Sequence[bool]) -> Sequence[bytes]:
        """Return what a group with a filter is to receive."""
        return [
            push[group.encoding]
            for (push, tags), passes in zip(self._items or (), wanted, strict=True)
            if passes and group.encoding in push and (tags is not None or group.joins)
        ]

    @staticmethod
    def _among_everything(push: Pushes, everything: dict[Encoding, list[bytes]]) -> None:
        for encoding, encoded in push.items():
            everything.setdefault(encoding, []).append(encoded)


class WritePass:
    """Writes what was gathered to everyone who was subscribed when the gathering ended."""

    def __init__(self, line: Line, gathering: Gathering, observer: FanoutObserver) -> None:
        self.size = gathering.size
        self._gathering, self._observer, self._channel = gathering, observer, line.channel
        self._tally = line.tally
        self._groups = iter(line.audience.snapshot())
        self._members: Iterator[Subscription] = iter(())
        self._packed: dict[tuple[Framing, Encoding, bool, tuple[bool, ...]], bytes] = {}
        self._bytes = b""
        self._recipients = line.audience.size
        self._begun = self.done = False
        line.tally.deliveries += line.audience.size * gathering.count

    @property
    def opened(self) -> float:
        """When the first of it came."""
        return self._gathering.opened

    def serve(self, budget: int) -> int:
        if self._begun or not self._gathering.traces:
            return self._serve(budget)
        self._begun = True
        with self._observer.writing(self._channel, self._gathering.traces, self._recipients):
            return self._serve(budget)

    def _serve(self, budget: int) -> int:
        left = budget
        while left > 0:
            if not length_hint(self._members):
                group = next(self._groups, None)
                if group is None:
                    self.done = True
                    break
                if not self._take_group(group):
                    left -= 1  # there may be as many groups as subscribers, where each has a filter of its own
                    continue
            count = min(left, length_hint(self._members))
            packed = self._bytes
            for subscription in islice(self._members, count):
                subscription.write(packed)
            left -= count
        return budget - left

    def _take_group(self, group: Group) -> bool:
        """Go on with a group; returns whether there is something for it."""
        wanted: tuple[bool, ...] = ()
        if group.tags_filter is None:
            pushes = self._gathering.for_group(group)
        else:
            wanted = self._gathering.wanted(group.tags_filter)
            pushes = self._gathering.for_filtered_group(group, wanted)
            self._tally.deliveries -= wanted.count(False) * len(group.subscriptions)
        if not pushes:
            return False
        self._members = iter(group.subscriptions)
        self._bytes = self._pack(group, pushes, wanted)
        return True

    def _pack(self, group: Group, pushes: Sequence[bytes], wanted: tuple[bool, ...]) -> bytes:
        key = (group.framing, group.encoding, group.joins and self._gathering.everything is not None, wanted)
        if key not in self._packed:
            self._packed[key] = group.framing.pack(pushes)
        return self._packed[key]


class TellPass:
    """Tells former subscribers something."""

    size = 0

    def __init__(self, subscriptions: Sequence[Subscription], tell: Tell) -> None:
        self._members, self._tell = iter(subscriptions), tell

    @property
    def done(self) -> bool:
        return not length_hint(self._members)

    def serve(self, budget: int) -> int:
        served = 0
        for subscription in islice(self._members, budget):
            self._tell(subscription)
            served += 1
        return served


class Fanout:
    """Takes pushes and writes them, some every loop turn.

    ``defer`` calls something in the next loop turn, ``monotonic`` tells the time in seconds.
    ``slice_size`` bounds the recipients of a turn, ``batch_bytes`` what is packed together,
    ``pending_bytes`` what may wait on one channel. ``turn_bytes`` bounds what a turn writes to any one
    recipient, unless a single pass is larger: sockets are sent to between turns, and a client is not
    to be taken for slow because of what came all at once.
    """

    def __init__(
        self,
        defer: Callable[[Callable[[], None]], object],
        monotonic: Callable[[], float],
        observer: FanoutObserver,
        *,
        slice_size: int = 1000,
        batch_bytes: int = 65_536,
        pending_bytes: int = 8_388_608,
        turn_bytes: int = 524_288,
    ) -> None:
        self._defer, self._monotonic, self._observer = defer, monotonic, observer
        self._slice_size, self._batch_bytes, self._pending_bytes = slice_size, batch_bytes, pending_bytes
        self._turn_bytes = turn_bytes
        self._lines: deque[Line] = deque()
        self._scheduled = False

    def publish(self, line: Line, push: Pushes, trace: object | None = None, tags: Tags | None = None) -> bool:
        """Have a publication written to the subscribers of this moment, as far as they want it by its tags.

        Returns False, having dropped it, if more waits on the channel than may.
        """
        size = _size(push)
        gathering = self._gather(line, size)
        if gathering is None:
            return not line.audience.size
        line.tally.publications += 1
        gathering.publication(push, size, trace, tags or _NO_TAGS)
        return True

    def announce(self, line: Line, push: Pushes) -> None:
        """Have a join or leave written to those who want them; dropped if too much waits."""
        size = _size(push)
        gathering = self._gather(line, size)
        if gathering is not None:
            gathering.join_or_leave(push, size)

    def seal(self, line: Line) -> None:
        """Have what waits go to the present subscribers only; called before somebody joins them."""
        gathering = line.gathering
        if gathering is not None:
            line.gathering = None
            line.passes.append(WritePass(line, gathering, self._observer))

    def tell(self, line: Line, subscriptions: Sequence[Subscription], tell: Tell) -> None:
        """Call ``tell`` for each former subscription, in slices, after what waits on the channel."""
        self.seal(line)
        line.passes.append(TellPass(subscriptions, tell))
        self._queue(line)

    def _gather(self, line: Line, size: int) -> Gathering | None:
        if not line.audience.size:
            return None
        if line.pending and line.pending + size > self._pending_bytes:
            line.tally.overflows += 1
            return None
        if line.gathering is not None and line.gathering.size + size > self._batch_bytes:
            self.seal(line)
        if line.gathering is None:
            line.gathering = Gathering(self._monotonic(), filtered=line.audience.filtered)
        line.pending += size
        self._queue(line)
        return line.gathering

    def _queue(self, line: Line) -> None:
        if not line.queued:
            line.queued = True
            self._lines.append(line)
        if not self._scheduled:
            self._scheduled = True
            self._defer(self._turn)

    def _turn(self) -> None:
        budget, written = self._slice_size, 0
        try:
            while self._lines and budget > 0:
                written += self._lines[0].next_size
                if budget < self._slice_size and written > self._turn_bytes:
                    break
                # At least 1, so that a turn over many channels nobody listens to ends as well.
                budget -= max(1, self._serve(self._lines.popleft(), budget))
        finally:
            self._scheduled = bool(self._lines)
            if self._scheduled:
                self._defer(self._turn)

    def _serve(self, line: Line, budget: int) -> int:
        line.queued = False
        if not line.passes:
            self.seal(line)
        current = line.passes[0]
        try:
            served = current.serve(budget)
        finally:
            if current.done:
                self._finish(line, current)
            if line.passes or line.gathering is not None:
                self._queue(line)
        return served

    def _finish(self, line: Line, finished: Pass) -> None:
        line.passes.popleft()
        line.pending -= finished.size
        if isinstance(finished, WritePass):
            self._observer.written(self._monotonic() - finished.opened)


def _size(push: Pushes) -> int:
    size = 0
    for encoded in push.values():
        size += len(encoded)
    return size
