"""Who receives what on one channel: its subscriptions, grouped by how their bytes are encoded and framed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from warren_gateway.domain.encoding import Encoding
from warren_gateway.domain.subscribers import Framing, Subscriber
from warren_gateway.domain.tags_filter import TagsFilter
from warren_shared.contracts.presence import Member

_Key = tuple[Framing, Encoding, bool, TagsFilter | None]


def _ignore(_packed: bytes) -> None:
    """Take the place of a write that must not happen any more."""


class Subscription:
    """One connection's subscription to one channel, from its reply to its end."""

    __slots__ = ("announce", "encoding", "joins", "member", "subscriber", "tags_filter", "write")

    def __init__(
        self,
        subscriber: Subscriber,
        *,
        joins: bool = False,
        member: Member | None = None,
        announce: bool = False,
        encoding: Encoding | None = None,
        tags_filter: TagsFilter | None = None,
    ) -> None:
        self.subscriber = subscriber
        self.tags_filter = tags_filter
        self.encoding = encoding or subscriber.framing.encoding
        """What publications are encoded in for it: that of its connection, or one of those for deltas."""
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
    encoding: Encoding
    joins: bool
    tags_filter: TagsFilter | None
    subscriptions: tuple[Subscription, ...]


class Audience:
    """The subscriptions of one channel."""

    __slots__ = ("_encodings", "_filtered", "_groups", "_snapshot", "deltas", "fresh", "size")

    def __init__(self) -> None:
        self._groups: dict[_Key, dict[str, Subscription]] = {}
        self._filtered: dict[str, _Key] = {}
        """Where the subscriptions with a filter are, by client: there may be as many groups of those as filters."""
        self._snapshot: tuple[Group, ...] | None = None
        self._encodings: tuple[Encoding, ...] | None = None
        self.size = 0
        self.deltas = 0
        """How many subscriptions are with deltas."""
        self.fresh = False
        """Whether some of those are still to be shown their first publication."""

    @property
    def encodings(self) -> tuple[Encoding, ...]:
        """What is spoken here, each once; looked at anew only after a change."""
        if self._encodings is None:
            self._encodings = tuple({encoding: None for _, encoding, *_ in self._groups})
        return self._encodings

    @property
    def filtered(self) -> bool:
        """Whether somebody here has a filter."""
        return bool(self._filtered)

    def add(self, subscription: Subscription) -> None:
        """Add a subscription; one that its connection has already is replaced."""
        self.remove(subscription.subscriber)
        subscriber = subscription.subscriber
        framing, encoding = subscriber.framing, subscription.encoding
        key = (framing, encoding, subscription.joins, subscription.tags_filter)
        self._groups.setdefault(key, {})[subscriber.client] = subscription
        if subscription.tags_filter is not None:
            self._filtered[subscriber.client] = key
        self._changed(1)
        if encoding is not framing.encoding:
            self.deltas += 1
            self.fresh |= encoding is framing.encoding.whole

    def remove(self, subscriber: Subscriber) -> Subscription | None:
        """End and return the connection's subscription, None if it has none."""
        filtered = self._filtered.pop(subscriber.client, None)
        for key in (filtered,) if filtered is not None else self._groups:
            group = self._groups[key]
            if key[0] is subscriber.framing and (subscription := group.pop(subscriber.client, None)) is not None:
                if not group:
                    del self._groups[key]
                subscription.end()
                self._changed(-1)
                self.deltas -= subscription.encoding is not subscriber.framing.encoding
                return subscription
        return None

    def clear(self, encoding: Encoding | None = None) -> list[Subscription]:
        """End and return all subscriptions, or those of an encoding."""
        keys = [key for key in self._groups if encoding is None or key[1] is encoding]
        ended = [subscription for key in keys for subscription in self._groups.pop(key).values()]
        for subscription in ended:
            subscription.end()
            self._filtered.pop(subscription.subscriber.client, None)
            self.deltas -= subscription.encoding is not subscription.subscriber.framing.encoding
        self._changed(-len(ended))
        return ended

    def go_on(self) -> None:
        """Take note that everybody was shown a publication: from now on deltas against it may follow."""
        self.fresh = False
        for framing, encoding, joins, tags_filter in tuple(self._groups):
            if encoding is framing.encoding.whole:
                begun = self._groups.pop((framing, encoding, joins, tags_filter))
                for subscription in begun.values():
                    subscription.encoding = framing.encoding.delta
                self._groups.setdefault((framing, framing.encoding.delta, joins, tags_filter), {}).update(begun)
        self._changed(0)

    def snapshot(self) -> tuple[Group, ...]:
        """Return the groups as they are now; made anew only after a change."""
        if self._snapshot is None:
            self._snapshot = tuple(
                Group(framing, encoding, joins, tags_filter, tuple(group.values()))
                for (framing, encoding, joins, tags_filter), group in self._groups.items()
            )
        return self._snapshot

    def _changed(self, by: int) -> None:
        self.size += by
        self._snapshot = self._encodings = None
