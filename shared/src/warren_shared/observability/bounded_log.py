"""Log lines about what others send: bounded, because others decide how many there are."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import structlog

LINES_PER_SECOND: Final = 10
_log = structlog.get_logger()


@dataclass(slots=True)
class _Second:
    """What one event has logged in the present second, and left out since its last line."""

    number: int
    lines: int = 0
    suppressed: int = 0


class BoundedLog:
    """Logs so many lines a second of each event; the next line of the event says how many were left out.

    What is left out must be counted elsewhere, in the metrics.
    """

    def __init__(self, monotonic: Callable[[], float], *, per_second: int = LINES_PER_SECOND) -> None:
        self._monotonic, self._per_second = monotonic, per_second
        self._seconds: dict[str, _Second] = {}
        """By event, of which a program has a fixed number."""

    def log(self, level: int, event: str, **fields: Any) -> None:
        """Log an event, or leave it out; ``suppressed`` is added to the first line after some were."""
        number = int(self._monotonic())
        second = self._seconds.setdefault(event, _Second(number))
        if second.number != number:
            second.number, second.lines = number, 0
        if second.lines >= self._per_second:
            second.suppressed += 1
            return
        second.lines += 1
        if second.suppressed:
            fields["suppressed"], second.suppressed = second.suppressed, 0
        _log.log(level, event, **fields)

    def info(self, event: str, **fields: Any) -> None:
        """Log at this level."""
        self.log(logging.INFO, event, **fields)

    def warning(self, event: str, **fields: Any) -> None:
        """Log at this level."""
        self.log(logging.WARNING, event, **fields)

    def error(self, event: str, **fields: Any) -> None:
        """Log at this level."""
        self.log(logging.ERROR, event, **fields)
