"""Who receives what on one channel: its subscriptions, grouped by how their bytes are framed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from warren_gateway.domain.subscribers import Framing, Subscriber
from warren_shared.contracts.presence import Member


def _ignore(_packed: bytes) -> None:
    """Take the place of a write that must not happen any more."""


class Subscription:
    """One connection's subscription to one channel, from its reply to its end."""

    __slots__ = ("announce", "joins", "member", "subscriber", "write")

    def __init__(
        self, subscriber: Subscriber, *, joins: bool = False, member: Member | None = None, announce: bool = False
    ) -> None:
        self.subscriber = subscriber
        self.joins = joins
        """Whether joins and leaves are pushed to it."""
        self.member = member
        self.announce = announce
        self.write: Callable[[bytes], None] = subscriber.write
        """What the fan-out calls; bound once, so that a delivery allocates nothing."""

    def end(self) -> None:
        """Write nothing any more, also where a pass in progress still holds this subscription.

        Who subscribes again gets a new subscription, whose position covers what this one missed.
        """
        self.write = _ignore


@dataclass(frozen=True, slots=True)
class Group:
    """Subscriptions that are written the same bytes, as of one moment."""

    framing: Framing
    joins: bool
    subscriptions: tuple[Subscription, ...]


class Audience:
    """The subscriptions of one channel."""

    __slots__ = ("_groups", "_snapshot", "size")

    def __init__(self) -> None:
        self._groups: dict[tuple[Framing, bool], dict[str, Subscription]] = {}
        self._snapshot: tuple[Group, ...] | None = None
        self.size = 0

    def add(self, subscription: Subscription) -> None:
        """Add a subscription; one that its connection has already is replaced."""
        self.remove(subscription.subscriber)
        subscriber = subscription.subscriber
        group = self._groups.setdefault((subscriber.framing, subscription.joins), {})
        group[subscriber.client] = subscription
        self._changed(1)

    def remove(self, subscriber: Subscriber) -> Subscription | None:
        """End and return the connection's subscription, None if it has none."""
        for joins in (False, True):
            key = (subscriber.framing, joins)
            group = self._groups.get(key)
            subscription = None if group is None else group.pop(subscriber.client, None)
            if group is not None and subscription is not None:
                if not group:
                    del self._groups[key]
                subscription.end()
                self._changed(-1)
                return subscription
        return None

    def clear(self) -> list[Subscription]:
        """End and return all subscriptions."""
        ended = [subscription for group in self._groups.values() for subscription in group.values()]
        for subscription in ended:
            subscription.end()
        self._groups.clear()
        self._changed(-len(ended))
        return ended

    def snapshot(self) -> tuple[Group, ...]:
        """Return the groups as they are now; made anew only after a change."""
        if self._snapshot is None:
            self._snapshot = tuple(
                Group(framing, joins, tuple(group.values())) for (framing, joins), group in self._groups.items()
            )
        return self._snapshot

    def _changed(self, by: int) -> None:
        self.size += by
        self._snapshot = None
