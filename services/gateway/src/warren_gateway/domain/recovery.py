"""Whether a client that was away gets what it missed, or where that is all it wants, the latest publication
(client protocol: recovery in stream mode, and in cache mode).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from enum import Enum, auto
from itertools import chain, islice, pairwise, repeat
from typing import Final

from warren_gateway.domain.encoding import Encoding
from warren_gateway.domain.publications import Publication
from warren_gateway.domain.tags_filter import TagsFilter
from warren_shared.contracts.publication import Position

GREATEST_OFFSET: Final = 2**63 - 1


class Recovery(Enum):
    """What can be said of a client's position."""

    RECOVERED = auto()
    IMPOSSIBLE = auto()
    UNKNOWN = auto()
    """History must be asked."""


class Window:
    """A channel's newest publications without a gap, as far as they are kept here.

    It is filled by one read and follows the stream from then on, so that all who recover at about
    the same time share that read. Bounded to ``limit`` publications.
    """

    __slots__ = ("_end", "_publications", "size")

    def __init__(self, end: int, limit: int) -> None:
        self._publications: deque[Publication] = deque(maxlen=limit)
        self._end = end
        self.size = 0
        """Bytes of what is kept."""

    @property
    def start(self) -> int:
        """The window holds everything after this offset."""
        return self._end - len(self._publications)

    def extend(self, publication: Publication) -> None:
        """Take in the stream's next publication."""
        kept = self._publications
        if len(kept) == kept.maxlen:
            self.size -= kept[0].size if kept else 0
        if kept.maxlen:
            self.size += publication.size
        kept.append(publication)
        self._end = publication.offset

    def publications(self) -> Sequence[Publication]:
        """Return what is kept, ascending."""
        return tuple(self._publications)

    def after(self, offset: int, encoding: Encoding, tags_filter: TagsFilter | None = None) -> Sequence[bytes]:
        """Return the publications after ``offset``, which must not lie before ``start``, as far as the filter lets
        them through; NOTHING for those that cannot be put into the encoding.
        """
        publications, encode = islice(self._publications, offset - self.start, None), encoding.publication
        if tags_filter is None:
            return [publication.once(encoding, encode) for publication in publications]
        matches = tags_filter.matches
        return [each.once(encoding, encode) for each in publications if matches(each.tags or {})]

    def deltas_after(self, offset: int, encoding: Encoding, *, enabled: bool) -> Sequence[bytes]:
        """Return them for a subscription with deltas: the first whole, each other one, where that is ``enabled``, as a
        delta against the one before. Each delta is made once, whoever recovers.
        """
        publications = tuple(islice(self._publications, offset - self.start, None))
        if enabled:
            for before, publication in pairwise(publications):
                publication.previous = before.data
        encodings = chain([encoding.whole], repeat(encoding.delta))
        return [
            publication.once(each, each.publication) for publication, each in zip(publications, encodings, strict=False)
        ]


def newest(publications: Iterable[Publication], end: int, limit: int) -> Window:
    """Return the window of those publications that lead to ``end`` without a gap."""
    by_offset = {publication.offset: publication for publication in publications}
    start = end
    while start in by_offset and end - start < limit:
        start -= 1
    window = Window(start, limit)
    for offset in range(start + 1, end + 1):
        window.extend(by_offset[offset])
    return window


def judge(since: Position, current: Position, window: Window | None, limit: int) -> Recovery:
    """Say whether a client that was at ``since`` can be brought to ``current``.

    A client ahead of ``current`` is unknown: this gateway may be the one that lags. But no stream
    gets beyond ``GREATEST_OFFSET``.
    """
    if since.offset > GREATEST_OFFSET:
        return Recovery.IMPOSSIBLE
    if since.epoch not in {"", current.epoch} or current.offset - since.offset > limit:
        return Recovery.IMPOSSIBLE
    if since.offset == current.offset:
        return Recovery.RECOVERED
    if since.offset < current.offset and window is not None and window.start <= since.offset:
        return Recovery.RECOVERED
    return Recovery.UNKNOWN


def judge_latest(since: Position, current: Position, window: Window | None, *, asked: bool) -> Recovery:
    """Say whether a client that was at ``since`` has the latest publication, or can be given it.

    ``asked``: history was asked, so that there is no more to find out. Until then a client ahead of
    ``current`` is unknown, lest it be given an older publication than it has.
    """
    if since == current and current.offset:
        return Recovery.RECOVERED
    ahead = since.epoch in {"", current.epoch} and since.offset > current.offset
    if window is not None and window.start < current.offset and (asked or not ahead):
        return Recovery.RECOVERED
    return Recovery.IMPOSSIBLE if asked or not (current.offset or ahead) else Recovery.UNKNOWN
