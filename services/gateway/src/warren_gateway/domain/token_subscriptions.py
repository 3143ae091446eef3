"""Subscriptions that a client has by a token: what the token gave it there, and until when.

Those of one connection. Times are seconds of the session's clock.
"""

from __future__ import annotations

from dataclasses import dataclass

from warren_gateway.domain.clients import json_or_none
from warren_gateway.domain.commands import SubscribeCommand
from warren_gateway.domain.keepalive import NEVER, longest
from warren_gateway.domain.permissions import Permissions, compile_grants
from warren_shared.contracts.auth import Allowed, Operation


@dataclass(frozen=True, slots=True)
class PendingDecision:
    """A subscribe command whose token auth has not decided on yet."""

    id: int
    command: SubscribeCommand


@dataclass(slots=True)
class _Terms:
    info: str | None
    permissions: Permissions
    lasts: float
    """Seconds from when the subscription stands, or was refreshed."""
    ends_at: float = NEVER
    refreshing: int | None = None
    """The command whose new token auth is being asked about."""


class TokenSubscriptions:
    """What tokens gave a connection, by channel."""

    __slots__ = ("_terms",)

    def __init__(self) -> None:
        self._terms: dict[str, _Terms] = {}

    def __contains__(self, channel: str) -> bool:
        return channel in self._terms

    def put(self, channel: str, allowed: Allowed, ttl: float | None, close_delay: float) -> None:
        """Take what a token gives; the client has ``close_delay`` seconds after its end to bring another.

        It does not end before ``begin``.
        """
        lasts = NEVER if ttl is None else longest(ttl) + close_delay
        self._terms[channel] = _Terms(json_or_none(allowed.info), compile_grants(allowed.grants), lasts)

    def begin(self, channel: str, now: float) -> None:
        """Take note that the subscription stands, if a token gave it."""
        terms = self._terms.get(channel)
        if terms is not None:
            terms.ends_at = now + terms.lasts

    def drop(self, channel: str) -> None:
        """Forget a channel; what auth is being asked about it will not count."""
        self._terms.pop(channel, None)

    def info(self, channel: str) -> str | None:
        """Return the user's info in a channel as JSON text."""
        terms = self._terms.get(channel)
        return None if terms is None else terms.info

    def allow(self, operation: Operation, channel: str, user: str) -> bool:
        """Whether the token for a channel allows its subscriber an operation there."""
        terms = self._terms.get(channel)
        return terms is not None and terms.permissions.allow(operation, channel, user, subscribed=True)

    def begin_refresh(self, channel: str, number: int) -> bool:
        """Take note that auth is asked about a new token; False if it is being asked already."""
        terms = self._terms[channel]
        if terms.refreshing is not None:
            return False
        terms.refreshing = number
        return True

    def end_refresh(self, channel: str, number: int) -> bool:
        """Take note that auth has answered; False if the subscription it was asked for is over."""
        terms = self._terms.get(channel)
        if terms is None or terms.refreshing != number:
            return False
        terms.refreshing = None
        return True

    def overdue(self, now: float) -> list[str]:
        """Return the channels whose tokens have ended and were not followed by another in time."""
        return [channel for channel, terms in self._terms.items() if terms.ends_at <= now]

    def next_look(self) -> float:
        """Return the next time at which one may be overdue; it may be ``NEVER``."""
        return min((terms.ends_at for terms in self._terms.values()), default=NEVER)
