"""The trace store: the newest traces in bounded memory, and which of them the last publication made."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Final

from warren_console.domain.spans import Span, SpanKind, bounded
from warren_shared.topology.catalogue import ExchangeName

_TOLD_APART: Final = (ExchangeName.PUBLISH, ExchangeName.HISTORY, ExchangeName.DELIVER, ExchangeName.PRESENCE)
"""Exchanges whose use tells a publication's trace from others."""

_NEVER: Final = -1


@dataclass(frozen=True, slots=True)
class StoreLimits:
    """How much the store keeps. Over a limit the trace that was added to least recently goes."""

    traces: int = 500
    spans_per_trace: int = 1_000
    total_bytes: int = 64 * 1024 * 1024
    linked_spans: int = 200
    """Spans of other traces shown in one trace's waterfall."""


@dataclass(slots=True)
class _Trace:
    spans: dict[str, Span] = field(default_factory=dict)
    links_to: set[str] = field(default_factory=set)
    size: int = 0
    published_ns: int = _NEVER
    """When its last step on a publication's way began."""
    delivered_ns: int = _NEVER
    """When its last delivery by a gateway began: of a live publication, or of a join or a leave."""
    announced: bool = False
    """Whether presence took part, and what was delivered was a join or a leave."""

    def note(self, span: Span) -> None:
        """Remember what the span tells about the whole trace."""
        match exchange_of(span):
            case ExchangeName.PUBLISH | ExchangeName.HISTORY:
                self.published_ns = max(self.published_ns, span.start_ns)
            case ExchangeName.DELIVER:
                self.delivered_ns = max(self.delivered_ns, span.start_ns)
            case ExchangeName.PRESENCE:
                self.announced = True
            case _:
                pass

    @property
    def publication_ns(self) -> int:
        """When its publication began, negative if it is not a publication's trace."""
        if self.published_ns == _NEVER and not self.announced:
            return self.delivered_ns
        return self.published_ns

    @property
    def is_publication(self) -> bool:
        """Whether it is a publication's trace."""
        return self.publication_ns != _NEVER


@dataclass(frozen=True, slots=True)
class Summary:
    """One line of the list of traces."""

    trace_id: str
    name: str
    """Of its earliest span."""
    services: tuple[str, ...]
    start_ns: int
    end_ns: int
    spans: int
    failed: bool
    publication: bool


class TraceStore:
    """Keeps spans in whatever order they come. Adding a span again replaces it: exporters retry."""

    def __init__(self, limits: StoreLimits | None = None) -> None:
        self._limits = limits or StoreLimits()
        self._traces: OrderedDict[str, _Trace] = OrderedDict()
        self._linked_from: dict[str, OrderedDict[str, None]] = {}
        self._size = 0
        self.revision = 0
        """Changes with every addition, so that a reader can tell whether there is news."""
        self.spans_received = 0
        self.spans_refused = 0
        """Spans of traces that were full."""
        self.traces_evicted = 0

    def __len__(self) -> int:
        return len(self._traces)

    @property
    def size(self) -> int:
        """About how many bytes the store occupies."""
        return self._size

    def add(self, spans: Iterable[Span]) -> int:
        """Keep the spans, within the limits; return how many were refused."""
        refused = 0
        for span in spans:
            self.spans_received += 1
            refused += not self._add(bounded(span))
        self.spans_refused += refused
        self.revision += 1
        self._evict()
        return refused

    def spans_of(self, trace_id: str) -> tuple[Span, ...]:
        """Return a trace's spans in the order of arrival, none if the trace is not (or no longer) here."""
        trace = self._traces.get(trace_id)
        return tuple(trace.spans.values()) if trace else ()

    def linked_to(self, trace_id: str) -> tuple[Span, ...]:
        """Return spans of other traces that link into this one, and whatever descends from them."""
        found: list[Span] = []
        for other in self._linked_from.get(trace_id, ()):
            for span in _linking(self._traces[other].spans.values(), trace_id):
                found.append(span)
                if len(found) == self._limits.linked_spans:
                    return tuple(found)
        return tuple(found)

    def summaries(self, limit: int) -> list[Summary]:
        """Return the traces added to last, newest first: so many of publications, then so many of others."""
        newest = list(reversed(self._traces.items()))
        publications = islice((each for each in newest if each[1].is_publication), limit)
        others = islice((each for each in newest if not each[1].is_publication), limit)
        return [_summary(trace_id, trace) for trace_id, trace in chain(publications, others)]

    def last_publication(self) -> str | None:
        """Return the id of the trace of the last publication, None if there is none."""
        published = ((trace.publication_ns, trace_id) for trace_id, trace in self._traces.items())
        at, trace_id = max(published, default=(_NEVER, ""))
        return trace_id if at != _NEVER else None

    def _add(self, span: Span) -> bool:
        trace = self._traces.get(span.trace_id)
        if trace is None:
            trace = self._traces[span.trace_id] = _Trace()
        before = trace.spans.get(span.span_id)
        if before is None and len(trace.spans) >= self._limits.spans_per_trace:
            return False
        trace.spans[span.span_id] = span
        growth = span.size - (before.size if before else 0)
        trace.size += growth
        self._size += growth
        trace.note(span)
        for link in span.links:
            if link.trace_id != span.trace_id:
                trace.links_to.add(link.trace_id)
                self._linked_from.setdefault(link.trace_id, OrderedDict())[span.trace_id] = None
        self._traces.move_to_end(span.trace_id)
        return True

    def _evict(self) -> None:
        while len(self._traces) > self._limits.traces or (
            self._size > self._limits.total_bytes and len(self._traces) > 1
        ):
            trace_id, trace = self._traces.popitem(last=False)
            self._size -= trace.size
            self.traces_evicted += 1
            for target in trace.links_to:
                linkers = self._linked_from[target]
                del linkers[trace_id]
                if not linkers:
                    del self._linked_from[target]


def exchange_of(span: Span) -> ExchangeName | None:
    """Return the exchange a message went to or came from in this span, if it tells publications apart."""
    if span.kind not in (SpanKind.PRODUCER, SpanKind.CONSUMER):
        return None
    destination = str(span.attributes.get("messaging.destination.name", "")).partition(":")[0]
    return next((name for name in _TOLD_APART if span.name.endswith(f" {name}") or destination == name), None)


def _linking(spans: Iterable[Span], trace_id: str) -> Iterator[Span]:
    """Yield the spans that link to the trace, each followed by its descendants."""
    children: dict[str, list[Span]] = {}
    linking: list[Span] = []
    for span in spans:
        children.setdefault(span.parent_id, []).append(span)
        if any(link.trace_id == trace_id for link in span.links):
            linking.append(span)
    seen: set[str] = set()
    waiting = linking[::-1]
    while waiting:
        span = waiting.pop()
        if span.span_id not in seen:
            seen.add(span.span_id)
            yield span
            waiting.extend(children.get(span.span_id, ()))


def _summary(trace_id: str, trace: _Trace) -> Summary:
    spans = sorted(trace.spans.values(), key=lambda span: (span.start_ns, span.span_id))
    return Summary(
        trace_id=trace_id,
        name=spans[0].name,
        services=tuple(dict.fromkeys(span.service for span in spans)),
        start_ns=spans[0].start_ns,
        end_ns=max(span.start_ns + span.duration_ns for span in spans),
        spans=len(spans),
        failed=any(span.failed for span in spans),
        publication=trace.is_publication,
    )
