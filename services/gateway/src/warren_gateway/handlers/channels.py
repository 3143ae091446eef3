"""Which connections follow which channels: subscribing, unsubscribing, and what the bus brings."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from warren_gateway.bus_options import BusSideOptions
from warren_gateway.domain.bindings import BindingPlan
from warren_gateway.domain.fanout import Fanout, FanoutObserver
from warren_gateway.domain.hub import Subscription
from warren_gateway.domain.position_checks import PositionChecks
from warren_gateway.handlers.binder import Binder
from warren_gateway.handlers.counts import BusCounts
from warren_gateway.handlers.entries import DELIVER, Entry, LiveEntry, PresenceSink, Waiter, Windowed, Works
from warren_gateway.handlers.following import DurableEntry
from warren_gateway.handlers.packs import Packs
from warren_gateway.handlers.patterns import PatternEntry, Patterns
from warren_gateway.handlers.reads import ReadPage, ReadPool, Spawn
from warren_gateway.ports import Subscribe, SubscribeDone, Subscriber
from warren_shared.contracts.channels import is_pattern, namespace_of
from warren_shared.contracts.codes import Disconnect, Errors, Unsubscribe, Unsubscribes
from warren_shared.contracts.namespaces import NamespaceOptions, Namespaces
from warren_shared.contracts.publication import DeliverType
from warren_shared.messaging.port import Delivery, Inbox
from warren_shared.observability.tracing import Tracing

GIVE_UPS_PER_TICK: Final = 100
_PACK: Final = DeliverType.PACK.value
_log = structlog.get_logger()
Defer = Callable[[Callable[[], None]], object]


class LocalChannels:
    """Implements the Channels port, and takes what the inbox brings.

    ``defer`` calls something in the next turn of the event loop. ``tick`` is to be called about
    every second.
    """

    def __init__(
        self,
        namespaces: Namespaces,
        *,
        options: BusSideOptions,
        counts: BusCounts,
        read_page: ReadPage,
        presence: PresenceSink,
        dead_letter: Callable[[Delivery, str], None],
        observer: FanoutObserver,
        tracing: Tracing,
        defer: Defer,
        spawn: Spawn,
        monotonic: Callable[[], float],
        random: Callable[[], float],
    ) -> None:
        self._namespaces, self._options, self._counts = namespaces, options, counts
        self._presence, self._defer, self._monotonic = presence, defer, monotonic
        self._entries: dict[str, Entry] = {}
        self._by_key: dict[str, Entry] = {}
        self._patterns = Patterns()
        self._packs = Packs(self._by_key.get, self._patterns, counts, dead_letter)
        self._admissions: deque[Entry] = deque()
        self._admitting = False
        self._dismissed: dict[tuple[str, str], Subscription] = {}
        """Who is out of the fan-out, but was not told yet."""
        self._windows: set[Windowed] = set()
        self._checks = PositionChecks[DurableEntry](
            options.position_check_interval, options.position_checks_per_second, random
        )
        self._fanout = Fanout(
            defer,
            monotonic,
            observer,
            slice_size=options.fanout_slice,
            batch_bytes=options.fanout_batch_bytes,
            pending_bytes=options.fanout_pending_bytes,
            turn_bytes=options.fanout_turn_bytes,
        )
        self._urgent = ReadPool(read_page, spawn, concurrency=options.subscribe_concurrency)
        self._patient = ReadPool(
            read_page,
            spawn,
            concurrency=options.heal_concurrency,
            patient=True,
            longest_pause=options.heal_longest_pause,
        )
        plan = BindingPlan(
            grace=options.unbind_grace,
            threshold=options.namespace_binding_threshold,
            whole=_bound_whole(namespaces),
        )
        self.binder = Binder(plan, options, on_bound=self._on_bound, on_failed=self._on_not_bound)
        self._works = Works(
            options=options,
            fanout=self._fanout,
            presence=presence,
            tracing=tracing,
            monotonic=monotonic,
            admit_soon=self._admit_soon,
            idle=self._on_idle,
            dismiss=self._dismiss,
            dead_letter=dead_letter,
            read_soon=self._urgent.want,
            read_sometime=self._patient.want,
            keep_window=self._windows.add,
        )

    # The Channels port

    def subscribe(self, request: Subscribe, subscriber: Subscriber, done: SubscribeDone) -> None:
        """See the port."""
        entry = self._entries.get(request.channel) or self._open(request.channel)
        if entry is None:
            done(Errors.UNKNOWN_CHANNEL)
            return
        self.binder.plan.keep(request.channel)
        entry.subscribe(Waiter(request, subscriber, done))

    def unsubscribe(self, channel: str, subscriber: Subscriber) -> None:
        """See the port."""
        subscription = self._dismissed.pop((channel, subscriber.client), None)
        if subscription is not None:
            self._leave(channel, subscription)
        entry = self._entries.get(channel)
        if entry is not None:
            entry.unsubscribe(subscriber)

    def num_subscribers(self, channel: str) -> int:
        """See the port."""
        entry = self._entries.get(channel)
        return 0 if entry is None else entry.line.audience.size

    # What the inbox brings

    def take(self, delivery: Delivery) -> None:
        """Take a delivery of ``warren.deliver``.

        A pack is believed where joins and leaves are (``Entry.take``): what backends publish is never one.
        """
        if delivery.type == _PACK and delivery.exchange == DELIVER:
            self._packs.take(delivery)
            return
        entry = self._by_key.get(delivery.routing_key)
        shown = bool(self._patterns) and self._patterns.take(delivery, alone=entry is None)
        if entry is not None:
            entry.take(delivery)
        elif not shown:
            self._counts.filter_out(delivery.routing_key)

    async def opened(self, inbox: Inbox) -> None:
        """Bind everything to a new inbox; then channels that had a position are healed."""
        await self.binder.opened(inbox)

    def lost(self) -> None:
        """Nothing arrives until ``opened``. Who was subscribed stays so."""
        for channel in self.binder.lost():
            self._close(channel)
        for entry in tuple(self._entries.values()):
            if not entry.covered:
                entry.refuse(Errors.INTERNAL)

    # What time brings

    def tick(self) -> None:
        """Do what is due: retire channels, look at positions, give up hope."""
        now = self._monotonic()
        for channel in self.binder.plan.retire(now):
            self._close(channel)
        self.binder.tidy()
        self._windows.difference_update([window for window in self._windows if window.expire_window(now)])
        for entry in self._checks.due(now):
            entry.check()
        self._give_up(now)

    def use(self, namespaces: Namespaces) -> None:
        """Serve from now on under new namespaces. Who is on a channel of another kind now is told
        to subscribe again.
        """
        self._namespaces = namespaces
        self.binder.plan.always_whole(_bound_whole(namespaces))
        self.binder.wake()
        for entry in tuple(self._entries.values()):
            options = namespaces.of_channel(entry.channel)
            if options is not None and _still_serves(entry, options):
                entry.options = options
            else:
                entry.refuse(Errors.INTERNAL if options else Errors.UNKNOWN_CHANNEL, everyone=True)
                entry.dismiss(Unsubscribes.INSUFFICIENT_STATE)
                self._forget(entry)
                self.binder.plan.release(entry.channel, self._monotonic())

    # For metrics and heartbeats

    def size(self) -> tuple[int, int]:
        """Return how many channels are followed, patterns included, and how many subscriptions there are."""
        return len(self._entries), sum(entry.line.audience.size for entry in self._entries.values())

    def followed(self) -> dict[str, tuple[int, int]]:
        """Return, by namespace, how many channels are followed and how many subscriptions there are."""
        totals: dict[str, tuple[int, int]] = {}
        for entry in self._entries.values():
            name = namespace_of(entry.channel)
            channels, subscriptions = totals.get(name, (0, 0))
            totals[name] = (channels + 1, subscriptions + entry.line.audience.size)
        return totals

    def _open(self, channel: str) -> Entry | None:
        options = self._namespaces.of_channel(channel)
        if options is None:
            return None
        entry = self._make(channel, options)
        self._entries[channel] = entry
        if isinstance(entry, PatternEntry):
            self._patterns.add(entry)
        else:
            self._by_key[entry.key] = entry
        if self.binder.follow(channel):
            entry.bound()
        return entry

    def _make(self, channel: str, options: NamespaceOptions) -> Entry:
        counts = self._counts.of(namespace_of(channel))
        if is_pattern(channel):
            return PatternEntry(channel, options, self._works, counts)
        if not options.durable:
            return LiveEntry(channel, options, self._works, counts)
        entry = DurableEntry(channel, options, self._works, counts)
        self._checks.add(entry, self._monotonic())
        return entry

    def _on_bound(self, channel: str) -> None:
        entry = self._entries.get(channel)
        if entry is not None:
            entry.bound()

    def _on_not_bound(self, channel: str) -> None:
        entry = self._entries.get(channel)
        if entry is not None:
            entry.refuse(Errors.INTERNAL)
        else:
            self.binder.plan.abandon(channel)

    def _on_idle(self, entry: Entry) -> None:
        if self._entries.get(entry.channel) is not entry:
            return
        if entry.covered:
            self.binder.plan.release(entry.channel, self._monotonic())
        else:
            self.binder.plan.abandon(entry.channel)
            self._close(entry.channel)

    def _close(self, channel: str) -> None:
        entry = self._entries.get(channel)
        if entry is not None:
            self._forget(entry)

    def _forget(self, entry: Entry) -> None:
        del self._entries[entry.channel]
        entry.forgotten = True
        if isinstance(entry, PatternEntry):
            self._patterns.remove(entry)
            return
        del self._by_key[entry.key]
        if isinstance(entry, DurableEntry):
            self._checks.remove(entry)

    def _admit_soon(self, entry: Entry) -> None:
        if not entry.unexamined:
            self._admissions.append(entry)
        entry.unexamined = len(entry.waiting)
        if not self._admitting:
            self._admitting = True
            self._defer(self._admit)

    def _admit(self) -> None:
        """Answer those who wait, some in each turn of the event loop."""
        budget = self._options.admit_slice
        try:
            while self._admissions and budget > 0:
                entry = self._admissions.popleft()
                try:
                    budget -= max(1, entry.admit(budget))
                finally:
                    if entry.unexamined:
                        self._admissions.append(entry)
        finally:
            self._admitting = bool(self._admissions)
            if self._admitting:
                self._defer(self._admit)

    def _dismiss(self, entry: Entry, ended: Sequence[Subscription], reason: Unsubscribe | Disconnect) -> None:
        channel = entry.channel
        for subscription in ended:
            self._dismissed[channel, subscription.subscriber.client] = subscription
        _log.warning("subscriptions_ended", code=reason.code, subscriptions=len(ended))

        def tell(subscription: Subscription) -> None:
            if self._dismissed.get((channel, subscription.subscriber.client)) is subscription:
                del self._dismissed[channel, subscription.subscriber.client]
                self._leave(channel, subscription)
                if isinstance(reason, Disconnect):
                    subscription.subscriber.cut_off(reason)
                else:
                    subscription.subscriber.unsubscribed(channel, reason)

        self._fanout.tell(entry.line, ended, tell)

    def _leave(self, channel: str, subscription: Subscription) -> None:
        if subscription.member is not None:
            self._presence.left(channel, subscription.member.client, announce=subscription.announce)

    def _give_up(self, now: float) -> None:
        """Tell the subscribers of channels that stayed blind for too long; some at a time."""
        for channel in self._patient.waiting(GIVE_UPS_PER_TICK):
            if (
                isinstance(channel, DurableEntry)
                and channel.blind_since is not None
                and channel.blind_since + self._options.heal_patience <= now
            ):
                channel.give_up()


def _still_serves(entry: Entry, options: NamespaceOptions) -> bool:
    """Whether an entry made under other options is of the right kind under these."""
    if isinstance(entry, PatternEntry):
        return options.allow_patterns
    return options.durable == entry.options.durable


def _bound_whole(namespaces: Namespaces) -> list[str]:
    return [name for name, options in namespaces.by_name.items() if options.bind_namespace]
