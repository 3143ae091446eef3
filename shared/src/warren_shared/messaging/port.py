"""The bus port: all that services know of the broker.

Words: a *delivery* is a message the broker hands over; to *settle* it is to ack, retry or
dead-letter it. Deadlines are seconds from now, and every operation that waits has one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Protocol

from warren_shared.topology.declarations import Binding

HeaderValue = str | int | float | bool | bytes | None
Headers = Mapping[str, HeaderValue]
NO_HEADERS: Final[Headers] = MappingProxyType({})


def _no_headers() -> Headers:
    return NO_HEADERS


JSON: Final = "application/json"
BINARY: Final = "application/octet-stream"

SUSPECT_AFTER: Final = 5
"""Deliveries in vain: so many that a link or a process that just broke is not the reason."""
_DELIVERY_COUNT: Final = "x-delivery-count"


class BusError(Exception):
    """Base of what the bus raises."""


class BrokerUnavailableError(BusError):
    """There is no connection to the broker now, or it broke before the outcome was known."""


class PublishRejectedError(BusError):
    """The broker refused the message (a negative confirm)."""


class UnsendableMessageError(PublishRejectedError):
    """The message holds something AMQP cannot carry, or the broker acts on and refuses: trying again
    will not help. Messages published at the same time may fail so without being the cause.
    """


class UnroutableError(BusError):
    """No queue took a mandatory message."""


class DeadlineExceededError(BusError):
    """No outcome within the deadline; the operation may or may not have happened."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to publish."""

    exchange: str
    routing_key: str
    body: bytes
    headers: Headers = field(default_factory=_no_headers)
    message_id: str | None = None
    type: str | None = None
    content_type: str = JSON
    persistent: bool = False
    correlation_id: str | None = None
    reply_to: str | None = None
    expiration_ms: int | None = None
    mandatory: bool = False
    """Whether ``publish`` raises UnroutableError if no queue takes it; needs a ``message_id`` nothing else has."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message the broker delivered."""

    exchange: str
    routing_key: str
    body: bytes
    headers: Headers = field(default_factory=_no_headers)
    message_id: str | None = None
    type: str | None = None
    content_type: str | None = None
    correlation_id: str | None = None
    reply_to: str | None = None
    redelivered: bool = False
    tag: int = field(default=0, compare=False)

    @property
    def is_suspect(self) -> bool:
        """Whether it was delivered in vain so often that it may be the cause. A quorum queue counts that."""
        if not self.redelivered:
            return False
        count = self.headers.get(_DELIVERY_COUNT)
        return isinstance(count, int) and count >= SUSPECT_AFTER


BatchHandler = Callable[[Sequence[Delivery]], Awaitable[None]]
"""Handles a queue's deliveries in order, one batch at a time. Returning acks the whole batch;
raising gives it back to the broker, which delivers it again, in order, after a pause. A suspect
delivery is a batch of its own."""

RequestHandler = Callable[[Delivery], Awaitable[bytes]]
"""Answers one request with the reply's body. Raising answers ``rpc.failed`` with code 100."""

BindKey = tuple[str, str]
"""(exchange, binding key)."""


BindingPlan = tuple[frozenset[Binding], frozenset[Binding]]
"""(bindings that must exist, bindings that must not)."""


class Publisher(Protocol):
    """Publishes. Messages of one caller to one queue keep the order in which the calls were made."""

    async def publish(self, message: Outgoing, *, deadline: float) -> None:
        """Publish and wait for the broker's confirm; then every queue it was routed to holds it.

        Raises BrokerUnavailableError, PublishRejectedError or DeadlineExceededError. A message that
        routes nowhere is confirmed too. When cancelled, the message may have been published.
        """

    async def publish_all(self, messages: Sequence[Outgoing], *, deadline: float) -> None:
        """Publish all in order and wait until every one is confirmed; raises as ``publish`` does."""

    def send(self, message: Outgoing) -> bool:
        """Publish without a confirm and without waiting, at most once.

        Returns False, having dropped the message, without a connection or with too many, or too many bytes, waiting.
        """


class Requester(Protocol):
    """Asks other services."""

    async def request(self, exchange: str, routing_key: str, body: bytes, *, deadline: float) -> bytes:
        """Publish a request and return the body of its reply.

        Raises BrokerUnavailableError, or DeadlineExceededError if no reply came in time. A request
        is never sent twice. Safe to cancel: a late reply is dropped.
        """


class Caller(Protocol):
    """Asks programs that are not Warren's, and may not be there."""

    async def call(self, message: Outgoing, *, deadline: float) -> Delivery:
        """Publish a message and return what answers it.

        ``message_id``, ``correlation_id``, ``reply_to`` and the expiration are set here. Raises UnroutableError
        as soon as the broker says that no queue takes it, and otherwise as ``request`` does.
        """


class Inbox(Protocol):
    """A process's own exclusive delivery queue, under a fresh name for each connection."""

    @property
    def is_open(self) -> bool:
        """Whether the queue exists and is consumed now."""

    async def bind(self, keys: Sequence[BindKey], *, deadline: float) -> None:
        """Bind; when it returns, whatever is published from now on under the keys is delivered.

        Raises BrokerUnavailableError or DeadlineExceededError. The bus does not remember keys:
        after a reconnect the ``on_open`` callback binds what is wanted then.
        """

    async def unbind(self, keys: Sequence[BindKey], *, deadline: float) -> None:
        """Unbind; deliveries already on their way may still arrive. Raises as ``bind`` does."""


class InboxListener(Protocol):
    """What the owner of an inbox is told."""

    def on_deliveries(self, deliveries: Sequence[Delivery]) -> None:
        """Deliveries in the queue's order. Must not block."""

    async def on_open(self, inbox: Inbox) -> None:
        """The queue is new, empty and consumed: bind what is wanted. Anything sent while it was
        lost is lost with it. Raising breaks the connection, which is then made anew.
        """

    def on_lost(self) -> None:
        """The connection broke: no deliveries until the next ``on_open``."""


class Bus(Publisher, Requester, Protocol):
    """The whole port. Register consumers, then ``run``; they come back after every reconnect."""

    def consume(self, queue: str, handler: BatchHandler, *, max_batch: int = 256, prefetch: int = 512) -> None:
        """Consume a durable queue in batches of at most ``max_batch``, acked together."""

    def serve(self, queue: str, handler: RequestHandler, *, concurrency: int = 64) -> None:
        """Answer the requests of an RPC queue, at most ``concurrency`` at a time. At most once:
        a request is acked when taken.
        """

    def open_calls(self) -> Caller:
        """Be able to call. Answers come by way of ``warren.replies``, to a queue nobody else's answers come to."""

    def open_inbox(self, listener: InboxListener, *, max_length: int = 100_000) -> None:
        """Have an inbox, whose broker queue drops its oldest beyond ``max_length`` messages, or 512 MiB of them."""

    def keep_bindings(self, current: Callable[[], BindingPlan]) -> Callable[[], None]:
        """Make the bindings ``current()`` wants, and remove those it does not, at every connect.

        Both kinds of destination are known: queues and exchanges. Call the returned function to
        have it done again after a change; it returns at once, failures are retried.
        """

    async def run(self) -> None:
        """Keep two connections (one publishes, one consumes) alive until cancelled."""

    async def wait_ready(self, *, deadline: float) -> None:
        """Wait until both connections stand and all consumers run. Raises DeadlineExceededError."""

    @property
    def connected(self) -> bool:
        """Whether both connections stand now."""

    @property
    def ready(self) -> bool:
        """Whether both connections stand and everything on them is set up."""
