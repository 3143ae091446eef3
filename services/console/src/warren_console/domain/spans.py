"""The span as the trace store keeps it, cut to bounds when it is made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Final

AttributeText = str | int | float | bool

MAX_ATTRIBUTES: Final = 64
MAX_LINKS: Final = 256
"""A batch of the durable path links to at most so many publications (its consumer's batch)."""
MAX_TEXT: Final = 512
"""Characters kept of a name or an attribute; a span needs no more to be recognized."""

_FIXED_BYTES: Final = 600
"""What a span with its containers occupies before its texts, measured on CPython 3.11, rounded up."""


class SpanKind(StrEnum):
    """OpenTelemetry's span kinds."""

    UNSPECIFIED = "unspecified"
    INTERNAL = "internal"
    SERVER = "server"
    CLIENT = "client"
    PRODUCER = "producer"
    CONSUMER = "consumer"


@dataclass(frozen=True, slots=True)
class SpanRef:
    """A span named from elsewhere; it need not have been received."""

    trace_id: str
    span_id: str


def _no_attributes() -> Mapping[str, AttributeText]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Span:
    """One timed operation of one service. Ids are lower-case hex; times are Unix nanoseconds."""

    trace_id: str
    span_id: str
    name: str
    service: str
    start_ns: int
    end_ns: int
    parent_id: str = ""
    """Empty for a span that begins a trace."""
    kind: SpanKind = SpanKind.UNSPECIFIED
    failed: bool = False
    attributes: Mapping[str, AttributeText] = field(default_factory=_no_attributes)
    links: tuple[SpanRef, ...] = ()

    @property
    def duration_ns(self) -> int:
        """Never negative, whatever clocks did in between."""
        return max(0, self.end_ns - self.start_ns)

    @property
    def size(self) -> int:
        """About how many bytes the span occupies; what the store's memory bound counts."""
        texts = len(self.name) + len(self.service)
        texts += sum(100 + len(name) + len(str(value)) for name, value in self.attributes.items())
        return _FIXED_BYTES + texts + 250 * len(self.links)


def bounded(span: Span) -> Span:
    """Return the span with its texts, attributes and links cut to the limits of this module."""
    return replace(
        span,
        name=_cut(span.name),
        service=_cut(span.service),
        attributes=_bounded_attributes(span.attributes.items()),
        links=span.links[:MAX_LINKS],
    )


def _bounded_attributes(items: Iterable[tuple[str, AttributeText]]) -> Mapping[str, AttributeText]:
    kept: dict[str, AttributeText] = {}
    for name, value in items:
        if len(kept) == MAX_ATTRIBUTES:
            break
        kept[_cut(name)] = _cut(value) if isinstance(value, str) else value
    return MappingProxyType(kept)


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "\u2026"
