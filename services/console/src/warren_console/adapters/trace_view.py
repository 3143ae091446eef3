"""The JSON of /api/traces: written by the server, read by the page and by the trace command."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict

from warren_console.domain.spans import AttributeText, Span
from warren_console.domain.traces import Summary
from warren_console.domain.waterfall import Relation, Row, Waterfall

_NS_PER_MS = 1e6


class LinkView(BaseModel):
    """A link to a span of this or another trace."""

    model_config = ConfigDict(frozen=True)

    trace_id: str
    span_id: str


class RowView(BaseModel):
    """One row; times in milliseconds since the trace's start."""

    model_config = ConfigDict(frozen=True)

    span_id: str
    trace_id: str
    depth: int
    relation: Relation
    service: str = ""
    name: str = ""
    kind: str = ""
    offset_ms: float = 0.0
    duration_ms: float = 0.0
    failed: bool = False
    attributes: dict[str, AttributeText] = {}
    links: list[LinkView] = []


class TraceView(BaseModel):
    """A trace as a waterfall."""

    model_config = ConfigDict(frozen=True)

    trace_id: str
    start_unix_ms: float
    duration_ms: float
    services: list[str]
    spans: int
    rows: list[RowView]

    @classmethod
    def of(cls, waterfall: Waterfall) -> Self:
        """Build the view of a waterfall."""
        return cls(
            trace_id=waterfall.trace_id,
            start_unix_ms=waterfall.start_ns / _NS_PER_MS,
            duration_ms=(waterfall.end_ns - waterfall.start_ns) / _NS_PER_MS,
            services=list(waterfall.services),
            spans=waterfall.span_count,
            rows=[_row(row, waterfall) for row in waterfall.rows],
        )


class SummaryView(BaseModel):
    """One line of the list."""

    model_config = ConfigDict(frozen=True)

    trace_id: str
    name: str
    services: list[str]
    start_unix_ms: float
    duration_ms: float
    spans: int
    failed: bool
    publication: bool

    @classmethod
    def of(cls, summary: Summary) -> Self:
        """Build the view of a summary."""
        return cls(
            trace_id=summary.trace_id,
            name=summary.name,
            services=list(summary.services),
            start_unix_ms=summary.start_ns / _NS_PER_MS,
            duration_ms=(summary.end_ns - summary.start_ns) / _NS_PER_MS,
            spans=summary.spans,
            failed=summary.failed,
            publication=summary.publication,
        )


class TraceListView(BaseModel):
    """The newest traces, those of publications first."""

    model_config = ConfigDict(frozen=True)

    revision: int
    """Differs from the last answer's if there is news."""
    last_publication: str | None
    traces: list[SummaryView]


def _row(row: Row, waterfall: Waterfall) -> RowView:
    if row.span is None:
        return RowView(span_id=row.span_id, trace_id=waterfall.trace_id, depth=row.depth, relation=row.relation)
    return _span_row(row, row.span, waterfall.start_ns)


def _span_row(row: Row, span: Span, start_ns: int) -> RowView:
    return RowView(
        span_id=row.span_id,
        trace_id=span.trace_id,
        depth=row.depth,
        relation=row.relation,
        service=span.service,
        name=span.name,
        kind=span.kind,
        offset_ms=(span.start_ns - start_ns) / _NS_PER_MS,
        duration_ms=span.duration_ns / _NS_PER_MS,
        failed=span.failed,
        attributes=dict(span.attributes),
        links=[LinkView(trace_id=link.trace_id, span_id=link.span_id) for link in span.links],
    )
