"""When a connected client is pinged, given up or expired."""

from __future__ import annotations

from typing import Final

from warren_gateway.domain.rules import SessionRules
from warren_shared.contracts.codes import Disconnect, Disconnects

NEVER: Final = float("inf")
_LONGEST_TTL: Final = 2**32 - 1
"""The client protocol's ``ttl`` is an unsigned 32-bit integer."""


class Keepalive:
    """The deadlines of one connection, looked at whenever the session wakes."""

    __slots__ = ("_expires_at", "_ping_at", "_pong_due")

    def __init__(self, rules: SessionRules, now: float) -> None:
        """Start; the first ping comes at random in the second half of the interval, which spreads
        the pings of clients that came all at once.
        """
        interval = rules.ping_interval
        self._ping_at = now + interval * (0.5 + rules.random() / 2) if interval else NEVER
        self._pong_due = NEVER
        self._expires_at = NEVER

    def expire_after(self, ttl: float | None, rules: SessionRules, now: float) -> None:
        """Set when the connection ends unless it is refreshed; the client gets a delay to do so."""
        self._expires_at = NEVER if ttl is None else now + longest(ttl) + rules.expired_close_delay

    def pong(self) -> bool:
        """Take the client's answer to a ping. False: none was waited for."""
        awaited = self._pong_due != NEVER
        self._pong_due = NEVER
        return awaited

    def wait_on(self, rules: SessionRules, now: float) -> None:
        """Give an awaited answer its whole time from now on: the client may not have seen the ping yet."""
        if self._pong_due != NEVER:
            self._pong_due = now + rules.pong_timeout

    def overdue(self, now: float) -> Disconnect | None:
        """Return why the connection must end now, None if it need not."""
        if now >= self._expires_at:
            return Disconnects.EXPIRED
        return Disconnects.NO_PONG if now >= self._pong_due else None

    def ping_due(self, rules: SessionRules, now: float) -> bool:
        """Whether to ping now; the wait for the answer begins."""
        if now < self._ping_at:
            return False
        self._ping_at = now + rules.ping_interval
        if rules.awaits_pongs:
            self._pong_due = now + rules.pong_timeout
        return True

    def next_look(self) -> float:
        """Return the next time at which something may be due; it may be ``NEVER``."""
        return min(self._ping_at, self._pong_due, self._expires_at)


def longest(ttl: float) -> float:
    """Return the time to live, or the longest that the client protocol can say."""
    return min(ttl, _LONGEST_TTL)


def whole_seconds(ttl: float | None) -> int | None:
    """Return a time to live as the client protocol has it; it never is 0, which would mean none.

    A connection that outlives the longest there is, is told that one; it then is refreshed early.
    """
    return None if ttl is None else max(1, int(longest(ttl)))
