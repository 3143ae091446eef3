"""How long a message id is remembered: in time of use, not of the wall clock."""

from __future__ import annotations

from typing import Final

LONGEST_STEP: Final = 60_000
"""A longer pause between two uses of a store (milliseconds) means that nobody used it."""


def aged(age: int, seen: int, now: int) -> int:
    """Return a store's age at ``now``, given its age when it was used last, at ``seen``.

    While history is down, or its machine asleep, the broker keeps what it had delivered without an
    ack. It comes back however much later, and its message ids must be known then. So time in which
    the store was not used does not age them, and neither does a clock that steps.
    """
    return age + min(max(now - seen, 0), LONGEST_STEP)
