"""One row of the result, and the table they make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Result:
    """What a row found."""

    what: str
    budget: str
    figure: str
    met: bool | None
    """None where there is no budget, only a figure."""
    detail: str = ""

    @property
    def verdict(self) -> str:
        """The verdict in a word."""
        return {True: "met", False: "MISSED", None: "-"}[self.met]


def render(results: Sequence[Result]) -> str:
    """Return the results as a Markdown table."""
    rows = [("what", "budget", "figure", "verdict", "detail")]
    rows += [(r.what, r.budget, r.figure, r.verdict, r.detail) for r in results]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)
