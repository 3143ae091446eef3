"""The waterfall: a trace's spans across services as rows, parents before children.

Spans come in any order, some never come, and a publication that fans out is *linked* from other
traces instead of being their parent. Every span is a row exactly once, whatever is missing or wrong:

- a span whose parent was not received hangs under a row that stands for that parent;
- a span of another trace hangs under the span it links to;
- parents that form a circle are cut where the circle begins in time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from warren_console.domain.spans import Span

_Key = tuple[str, str]
"""(trace id, span id): ids of spans are unique only within their trace."""


class Relation(StrEnum):
    """Why a row is where it is."""

    ROOT = "root"
    CHILD = "child"
    LINKED = "linked"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a waterfall."""

    span_id: str
    depth: int
    relation: Relation
    span: Span | None
    """None for a parent that was not received: a publisher outside the suite, or a lost span."""


@dataclass(frozen=True, slots=True)
class Waterfall:
    """A trace, ready to be drawn."""

    trace_id: str
    start_ns: int
    end_ns: int
    rows: tuple[Row, ...]

    @property
    def services(self) -> tuple[str, ...]:
        """The services that took part, in the order of their rows."""
        return tuple(dict.fromkeys(row.span.service for row in self.rows if row.span))

    @property
    def span_count(self) -> int:
        """How many rows are spans that were received."""
        return sum(row.span is not None for row in self.rows)


def assemble(trace_id: str, spans: Iterable[Span], linked: Iterable[Span] = ()) -> Waterfall:
    """Order a trace's spans, and those ``linked`` to it, as rows. The order of arrival has no effect."""
    nodes: dict[_Key, Span] = {}
    for span in sorted((*spans, *linked), key=_by_start):
        nodes.setdefault((span.trace_id, span.span_id), span)
    rows = _Forest(trace_id, nodes).rows()
    starts = [span.start_ns for span in nodes.values()]
    ends = [span.start_ns + span.duration_ns for span in nodes.values()]
    return Waterfall(trace_id, min(starts, default=0), max(ends, default=0), tuple(rows))


def _by_start(span: Span) -> tuple[int, str, str]:
    return span.start_ns, span.trace_id, span.span_id


class _Forest:
    """The spans under their parents; nodes are held sorted by start, so siblings are too."""

    def __init__(self, trace_id: str, nodes: Mapping[_Key, Span]) -> None:
        self._trace_id = trace_id
        self._nodes = nodes
        self._children: dict[_Key, list[tuple[_Key, Relation]]] = {}
        self._tops: list[tuple[_Key, Relation]] = []
        for key, span in nodes.items():
            self._place(key, span)

    def _place(self, key: _Key, span: Span) -> None:
        parent, relation = self._parent_of(span)
        if parent is None:
            self._tops.append((key, relation))
            return
        if parent not in self._nodes and parent not in self._children:
            self._tops.append((parent, Relation.MISSING))
        self._children.setdefault(parent, []).append((key, relation))

    def _parent_of(self, span: Span) -> tuple[_Key | None, Relation]:
        parent = (span.trace_id, span.parent_id)
        if span.trace_id == self._trace_id:
            return (parent, Relation.CHILD) if span.parent_id else (None, Relation.ROOT)
        if parent in self._nodes:
            return parent, Relation.CHILD
        targets = [(link.trace_id, link.span_id) for link in span.links if link.trace_id == self._trace_id]
        return next((target for target in targets if target in self._nodes), None) or next(
            iter(targets), None
        ), Relation.LINKED

    def rows(self) -> list[Row]:
        """Return all rows, depth first; what only a circle of parents leads to comes last."""
        rows: list[Row] = []
        visited: set[_Key] = set()
        for key, relation in self._tops:
            self._walk(key, relation, visited, rows)
        for key in self._nodes:
            if key not in visited:
                self._walk(key, Relation.ROOT, visited, rows)
        return rows

    def _walk(self, top: _Key, relation: Relation, visited: set[_Key], rows: list[Row]) -> None:
        waiting = [(top, relation, 0)]
        while waiting:
            key, why, depth = waiting.pop()
            if key in visited:
                continue
            visited.add(key)
            rows.append(Row(key[1], depth, why, self._nodes.get(key)))
            children = self._children.get(key, ())
            waiting.extend((child, how, depth + 1) for child, how in reversed(children))
