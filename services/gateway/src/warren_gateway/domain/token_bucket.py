"""A rate limit: so many a second on average, as many at once."""

from __future__ import annotations


class TokenBucket:
    """Starts full; ``now`` is any clock in seconds that never goes back."""

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._tokens = per_second
        self._at: float | None = None

    def take(self, now: float, tokens: float = 1) -> bool:
        """Take tokens; returns False, and takes none, if there are fewer."""
        if self._at is not None:
            self._tokens = min(self._per_second, self._tokens + (now - self._at) * self._per_second)
        self._at = now
        if self._tokens < tokens:
            return False
        self._tokens -= tokens
        return True
