"""A channel as this gateway serves it: who waits to subscribe, who is subscribed, what arrives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from warren_gateway.bus_options import BusSideOptions
from warren_gateway.domain.client_info import announced_client
from warren_gateway.domain.encoding import Encoding, Pushes, PushHead
from warren_gateway.domain.fanout import Fanout, Line
from warren_gateway.domain.hub import Subscription
from warren_gateway.domain.publications import Publication, live_publication
from warren_gateway.handlers.counts import NamespaceCounts
from warren_gateway.handlers.reads import Readable
from warren_gateway.ports import Subscribe, Subscribed, SubscribeDone, Subscriber
from warren_shared.contracts.channels import routing_key_of
from warren_shared.contracts.codes import Disconnect, Disconnects, ErrorCode, Errors, Unsubscribe
from warren_shared.contracts.envelope import ContractError
from warren_shared.contracts.namespaces import NamespaceOptions
from warren_shared.contracts.pack import Packed
from warren_shared.contracts.presence import Member
from warren_shared.contracts.publication import DeliverType, Header
from warren_shared.messaging.port import JSON, Delivery, HeaderValue
from warren_shared.observability.tracing import Tracing
from warren_shared.topology.catalogue import ExchangeName

DELIVER: Final = ExchangeName.DELIVER.value
_TRACEPARENT: Final = Header.TRACEPARENT.value
_NO_TYPE: Final = frozenset({None, "", DeliverType.PUBLICATION.value})


@dataclass(slots=True, eq=False)
class Waiter:
    """A subscription in progress."""

    request: Subscribe
    subscriber: Subscriber
    done: SubscribeDone
    answered: bool = False
    """Whether history was asked what it needs to know; then the answer is final."""
    error: ErrorCode | None = None
    """Why it cannot be served."""

    @property
    def recovering(self) -> bool:
        """Whether the client asked to recover."""
        return self.request.recover_from is not None and not self.request.unasked


class PresenceSink(Protocol):
    """Where joins and leaves go."""

    def joined(self, channel: str, member: Member, *, announce: bool) -> None:
        """A connection subscribed."""

    def left(self, channel: str, client: str, *, announce: bool) -> None:
        """A connection is no longer subscribed."""


class Windowed(Protocol):
    """A channel that keeps something for a while."""

    def expire_window(self, now: float) -> bool:
        """Drop what was kept for long enough; returns whether nothing is kept any more."""


@dataclass(frozen=True, slots=True)
class Works:
    """What all entries of a gateway work with."""

    options: BusSideOptions
    fanout: Fanout
    presence: PresenceSink
    tracing: Tracing
    monotonic: Callable[[], float]
    admit_soon: Callable[[Entry], None]
    """Have ``admit`` called in one of the next loop turns."""
    idle: Callable[[Entry], None]
    """Nobody is subscribed or waiting any more."""
    dismiss: Callable[[Entry, Sequence[Subscription], Unsubscribe | Disconnect], None]
    """Tell former subscribers that they are, or close their connections."""
    dead_letter: Callable[[Delivery, str], None]
    read_soon: Callable[[Readable], None]
    """Subscribers wait for a read, or a gap shows."""
    read_sometime: Callable[[Readable], None]
    """A read is needed, but nobody waits for it."""
    keep_window: Callable[[Windowed], None]
    """Call ``expire_window`` from time to time, until it says that nothing is kept any more."""


class Entry(ABC):
    """One channel. ``counts`` are its namespace's."""

    def __init__(self, channel: str, options: NamespaceOptions, works: Works, counts: NamespaceCounts) -> None:
        self.channel, self.options, self.counts = channel, options, counts
        self.key = routing_key_of(channel)
        self.line = Line(channel, counts)
        self.covered = False
        """Whether it has been bound."""
        self.forgotten = False
        """Whether the channel is no longer served by this entry."""
        self.unexamined = 0
        """How many of those who wait ``admit`` is still to look at."""
        self.waiting: dict[str, Waiter] = {}
        self._works = works
        self._heads: dict[Encoding, PushHead] = {}

    @property
    def idle(self) -> bool:
        """Whether nobody is subscribed or waiting."""
        return not self.line.audience.size and not self.waiting

    def subscribe(self, waiter: Waiter) -> None:
        """Subscribe now if all is known that must be, else as soon as it is."""
        reply = self._reply(waiter)
        if reply is None:
            self.waiting[waiter.subscriber.client] = waiter
            self._wait()
        else:
            self._finish(waiter, reply)
            if self.idle:
                self._works.idle(self)

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """End a subscription, or stop waiting for one."""
        self.waiting.pop(subscriber.client, None)
        subscription = self.line.audience.remove(subscriber)
        if subscription is not None and subscription.member is not None:
            self._works.presence.left(self.channel, subscriber.client, announce=subscription.announce)
        if self.idle:
            self._works.idle(self)

    def admit(self, at_most: int) -> int:
        """Look at those who wait, at most so many of the ``unexamined``, answer those whose answer is
        known, and return how many were looked at.
        """
        self.unexamined = min(self.unexamined, len(self.waiting))
        examined = 0
        while self.unexamined and self.waiting and examined < at_most:
            # Always the first, because an answer may make its client, or another one, go.
            client = next(iter(self.waiting))
            waiter = self.waiting.pop(client)
            self.unexamined -= 1
            examined += 1
            reply = self._reply(waiter)
            if reply is None:
                self.waiting[client] = waiter
            else:
                self._finish(waiter, reply)
        if self.idle:
            self._works.idle(self)
        return examined

    def refuse(self, error: ErrorCode, *, everyone: bool = False) -> None:
        """Have all whose answer is not known answered with an error; or ``everyone`` who waits."""
        for waiter in self.waiting.values():
            if everyone or self._reply(waiter) is None:
                waiter.error = error
        self._works.admit_soon(self)

    def dismiss(self, reason: Unsubscribe) -> None:
        """End all subscriptions."""
        ended = self.line.audience.clear()
        if ended:
            self._works.dismiss(self, ended, reason)

    def take(self, delivery: Delivery) -> None:
        """Take a delivery from the bus.

        Only what Warren's own services publish, straight to ``warren.deliver``, is more than a
        publication: through an exchange-to-exchange binding a message keeps the exchange it was
        published to, and a backend may use the type property for itself. What newer services publish
        there under a type of theirs becomes a dead letter.
        """
        if delivery.exchange != DELIVER or delivery.type in _NO_TYPE:
            self._take_publication(delivery)
        elif delivery.type == DeliverType.JOIN:
            self._take_join_or_leave(delivery, joined=True)
        elif delivery.type == DeliverType.LEAVE:
            self._take_join_or_leave(delivery, joined=False)
        else:
            self._reject(delivery, f"a delivery of type {str(delivery.type)[:64]!r} is not known here")

    @abstractmethod
    def bound(self) -> None:
        """What is published from now on arrives; what was published before may not have."""

    @abstractmethod
    def take_packed(self, epoch: str, publications: Iterable[Packed]) -> None:
        """Take publications of a pack, in order, as if each had come alone."""

    @abstractmethod
    def _take_publication(self, delivery: Delivery) -> None: ...

    @abstractmethod
    def _reply(self, waiter: Waiter) -> Subscribed | ErrorCode | None:
        """Return what a waiter can be answered at this moment, None if nothing yet; changes nothing."""

    @abstractmethod
    def _wait(self) -> None:
        """Somebody waits now."""

    def _finish(self, waiter: Waiter, reply: Subscribed | ErrorCode) -> None:
        """Answer; nothing is awaited between joining the audience and the answer."""
        request = waiter.request
        if isinstance(reply, Subscribed) and request.reject_unrecovered and reply.was_recovering > reply.recovered:
            reply = Errors.UNRECOVERABLE_POSITION
        if not isinstance(reply, Subscribed):
            waiter.done(reply)
            return
        subscription = Subscription(
            waiter.subscriber,
            joins=request.push_join_leave,
            member=request.member,
            announce=request.announce,
            encoding=_encoding_of(waiter, reply),
            tags_filter=request.tags_filter,
        )
        # What waits to be written is older than this subscription's position.
        self._works.fanout.seal(self.line)
        self.line.audience.add(subscription)
        if request.member is not None:
            self._works.presence.joined(self.channel, request.member, announce=request.announce)
        waiter.done(reply)

    def _publish(self, publication: Publication) -> bool:
        """Have it written to everybody. Returns False, having dropped it, if too much waits."""
        pushes: dict[Encoding, bytes] = {}
        for encoding in self.line.audience.encodings:
            push = self._head(encoding).publication(publication)
            if push:
                pushes[encoding] = push
            else:
                self._turn_away(encoding)
        taken = self._works.fanout.publish(self.line, pushes, publication.trace, publication.tags)
        if self.line.audience.fresh:
            self._works.fanout.seal(self.line)
            self.line.audience.go_on()
        return taken

    def _head(self, encoding: Encoding) -> PushHead:
        head = self._heads.get(encoding)
        if head is None:
            head = self._heads[encoding] = encoding.head(self.channel)
        return head

    def _turn_away(self, encoding: Encoding) -> None:
        """Close the connections that cannot be shown what is published here; they will not come back (3506)."""
        self._works.dismiss(self, self.line.audience.clear(encoding), Disconnects.INAPPROPRIATE_PROTOCOL)

    def _trace_of(self, headers: Mapping[str, object]) -> object | None:
        """Return the sampled trace context that headers bring; a backend may set headers of any type."""
        if type(headers.get(_TRACEPARENT)) is not str:
            return None
        return self._works.tracing.incoming(headers)

    def _take_join_or_leave(self, delivery: Delivery, *, joined: bool) -> None:
        if not self.line.audience.size:
            return
        try:
            info = announced_client(delivery.body)
        except ContractError as error:
            self._reject(delivery, str(error))
            return
        pushes: Pushes = {
            encoding: push
            for encoding in self.line.audience.encodings
            if (push := self._head(encoding).join(info) if joined else self._head(encoding).leave(info))
        }
        self._works.fanout.announce(self.line, pushes)

    def _reject(self, delivery: Delivery, reason: str) -> None:
        self.counts.malformed += 1
        self._works.dead_letter(delivery, reason)


def _encoding_of(waiter: Waiter, reply: Subscribed) -> Encoding | None:
    """Return what is for deltas if the client wants those; they follow what it was given with the reply."""
    if not waiter.request.delta:
        return None
    encoding = waiter.subscriber.framing.encoding
    return encoding.delta if reply.publications else encoding.whole


class LiveEntry(Entry):
    """A channel without history: what arrives is passed on."""

    def bound(self) -> None:
        self.covered = True
        if self.waiting:
            self._works.admit_soon(self)

    def _take_publication(self, delivery: Delivery) -> None:
        if not self.line.audience.size:
            return
        try:
            publication = live_publication(
                delivery.body, delivery.headers, self.options.publication_data_format, self._trace_of(delivery.headers)
            )
        except ContractError as error:
            self._reject(delivery, str(error))
            return
        self._publish(publication)

    def take_packed(self, epoch: str, publications: Iterable[Packed]) -> None:
        # Rare: the namespace was durable a moment ago, and history has not heard of it.
        for packed in publications:
            headers: dict[str, HeaderValue] = {
                **packed.headers,
                Header.OFFSET.value: packed.offset,
                Header.EPOCH.value: epoch,
            }
            self._take_publication(
                Delivery(
                    DELIVER,
                    self.key,
                    packed.data,
                    headers,
                    packed.message_id or None,
                    content_type=packed.content_type or JSON,
                )
            )

    def _reply(self, waiter: Waiter) -> Subscribed | ErrorCode | None:
        if waiter.error is not None:
            return waiter.error
        return Subscribed(was_recovering=waiter.recovering) if self.covered else None

    def _wait(self) -> None:
        pass
