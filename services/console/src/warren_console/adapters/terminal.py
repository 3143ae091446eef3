"""A trace's waterfall as lines of text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from warren_console.adapters.trace_view import RowView, TraceView
from warren_console.domain.waterfall import Relation

MIN_WIDTH: Final = 72
_MIN_BAR: Final = 16
_EIGHTHS: Final = " \u258f\u258e\u258d\u258c\u258b\u258a\u2589\u2588"
_COLOURS: Final = (36, 33, 35, 32, 34, 91)
_RED: Final = 31
_DIM: Final = 2
_BOLD: Final = 1


@dataclass(frozen=True, slots=True)
class Terminal:
    """What a terminal can show."""

    width: int = 100
    unicode: bool = True
    colour: bool = False


def draw(view: TraceView, terminal: Terminal) -> list[str]:
    """Return the waterfall's lines, none wider than the terminal (or 72 columns)."""
    return _Drawing(view, terminal).lines()


class _Drawing:
    def __init__(self, view: TraceView, terminal: Terminal) -> None:
        self._view = view
        self._terminal = terminal
        self._colours = {service: _COLOURS[index % len(_COLOURS)] for index, service in enumerate(view.services)}
        width = max(MIN_WIDTH, terminal.width)
        labels = [self._label(row) for row in view.rows]
        self._service = min(max(map(len, (*view.services, "service"))), 16)
        self._bar = max(_MIN_BAR, width - self._service - max(map(len, (*labels, "span"))) - 26)
        self._name = width - self._service - self._bar - 26

    def lines(self) -> list[str]:
        header = f"{'service':{self._service}}  {'span':{self._name}}  {'offset':>9}  {'duration':>9}"
        return [
            *self._title(),
            "",
            self._paint(header, _DIM),
            *(self._line(row) for row in self._view.rows),
            *self._links(),
        ]

    def _title(self) -> list[str]:
        view = self._view
        at = datetime.fromtimestamp(view.start_unix_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
        spans = f"{view.spans} span{'s' * (view.spans != 1)}"
        facts = (f"{at} UTC", spans, *view.services, _milliseconds(view.duration_ms))
        return [f"{self._paint('trace', _BOLD)} {view.trace_id}", ", ".join(facts)]

    def _line(self, row: RowView) -> str:
        label = _fitted(self._label(row), self._name)
        if row.relation is Relation.MISSING:
            return self._paint(f"{'':{self._service}}  {label:{self._name}}", _DIM)
        colour = _RED if row.failed else self._colours.get(row.service, _DIM)
        service = self._paint(f"{_fitted(row.service, self._service):{self._service}}", colour)
        times = f"{'+' + _milliseconds(row.offset_ms):>9}  {_milliseconds(row.duration_ms):>9}"
        return f"{service}  {label:{self._name}}  {times}  {self._paint(self._timeline(row), colour)}".rstrip()

    def _label(self, row: RowView) -> str:
        branch = {Relation.CHILD: "\u2514 ", Relation.LINKED: "\u21b3 "} if self._terminal.unicode else {}
        mark = branch.get(row.relation, "" if row.relation in (Relation.ROOT, Relation.MISSING) else "- ")
        name = f"(parent {row.span_id}, not received)" if row.relation is Relation.MISSING else row.name
        suffix = " (linked)" * (row.relation is Relation.LINKED) + " FAILED" * row.failed
        return "  " * max(0, row.depth - 1) + mark + name + suffix

    def _timeline(self, row: RowView) -> str:
        total = self._view.duration_ms or 1.0
        begin = min(row.offset_ms / total, 1.0) * self._bar
        length = min(row.duration_ms / total * self._bar, self._bar - begin)
        start = min(int(begin), self._bar - 1)
        if not self._terminal.unicode:
            return " " * start + "#" * max(1, round(length))
        full, eighths = divmod(max(1, round(length * 8)), 8)
        return " " * start + _EIGHTHS[8] * full + _EIGHTHS[eighths].strip()

    def _links(self) -> Sequence[str]:
        """Name the traces that spans of this one link to: the way back from a fan-out to its cause."""
        own = {row.span_id for row in self._view.rows}
        outward = [(row, link) for row in self._view.rows for link in row.links if link.span_id not in own]
        lines = [
            f"{row.service} {row.name} links to trace {link.trace_id} span {link.span_id}" for row, link in outward
        ]
        return ["", *lines[:10]] if lines else []

    def _paint(self, text: str, colour: int) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._terminal.colour else text


def _milliseconds(value: float) -> str:
    return f"{value:.2f} ms" if value < 100 else f"{value:.0f} ms"


def _fitted(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(0, width - 1)] + "~"
