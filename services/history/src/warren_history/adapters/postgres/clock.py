"""What the store's age is counted by, against which message ids grow old."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class AgeClock:
    """The database's own clock, the same for all processes: theirs may differ, and each difference would
    count whenever another one comes to append.
    """

    step: int = 1000
    """Milliseconds by which the age must have moved before it is written down."""

    def at(self, now: int) -> int | None:
        """Return the time to count by; None for the database's."""
        del now
        return None


DATABASE_CLOCK: Final = AgeClock()
