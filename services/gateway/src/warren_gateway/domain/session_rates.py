"""How much each session may send in requests of its own, in a time and a memory that are bounded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from warren_gateway.domain.token_bucket import TokenBucket

MOST_SESSIONS: Final = 16_384
"""Sessions that may send within one second; beyond, those that have not are refused. Strangers can make sessions up."""
_FULL_AGAIN: Final = 1.0
"""Seconds after which a bucket is full whatever was taken, so that it need not be remembered."""


@dataclass(slots=True)
class _Share:
    requests: TokenBucket | None
    size: TokenBucket | None
    at: float

    def take(self, size: int, now: float) -> bool:
        self.at = now
        return (self.requests is None or self.requests.take(now)) and (self.size is None or self.size.take(now, size))


class SessionRates:
    """Starts with everybody's full share; ``now`` is any clock in seconds that never goes back."""

    def __init__(self, requests: int, size: int, most_sessions: int = MOST_SESSIONS) -> None:
        """``requests`` and ``size``, in bytes, are a second's, on average and at once; 0: no limit.

        No message larger than ``size`` is ever admitted.
        """
        self._requests, self._size, self._most = requests, size, most_sessions
        self._shares: dict[str, _Share] = {}

    def __len__(self) -> int:
        return len(self._shares)

    def admit(self, session: str, size: int, now: float) -> bool:
        """Return whether a session may send so many bytes now. A request refused for its size counts as one."""
        self._forget(now)
        share = self._shares.pop(session, None)
        if share is None:
            if len(self._shares) >= self._most:
                return False
            share = _Share(_bucket(self._requests), _bucket(self._size), now)
        self._shares[session] = share  # behind those that have been silent for longer
        return share.take(size, now)

    def _forget(self, now: float) -> None:
        while self._shares:
            session, share = next(iter(self._shares.items()))
            if now - share.at < _FULL_AGAIN:
                return
            del self._shares[session]


def _bucket(per_second: int) -> TokenBucket | None:
    return TokenBucket(per_second) if per_second else None
