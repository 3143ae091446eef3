"""The seams of the gateway.

The *socket side* (session core, transports) turns a client's commands into calls of these ports. The
*bus side* (channels, services) implements them and hands back what is to be written. Neither knows
how the other works.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from warren_gateway.domain.events import Event
from warren_gateway.domain.requests import Call, CallResult, ClientMessage, Publish, Subscribe, Subscribed
from warren_gateway.domain.subscribers import Framing, Subscriber
from warren_shared.contracts.auth import (
    Admitted,
    Allowed,
    ConnectRequest,
    RefreshRequest,
    Refused,
    SubRefreshRequest,
    SubscribeRequest,
)
from warren_shared.contracts.clients import ClientEvent
from warren_shared.contracts.codes import ErrorCode
from warren_shared.contracts.history import Page, ReadRequest
from warren_shared.contracts.presence import Members, Stats

__all__ = [
    "Call",
    "CallResult",
    "Channels",
    "ClientEvent",
    "ClientMessage",
    "Clients",
    "ControlledClient",
    "Framing",
    "Publish",
    "RequestFailedError",
    "ServiceUnavailableError",
    "Services",
    "Subscribe",
    "SubscribeDone",
    "Subscribed",
    "Subscriber",
]


SubscribeDone = Callable[["Subscribed | ErrorCode"], None]


class Channels(Protocol):
    """Which connections follow which channels, and what each channel's stream is at."""

    def subscribe(self, request: Subscribe, subscriber: Subscriber, done: SubscribeDone) -> None:
        """Subscribe, and call ``done`` once: at once if the channel is followed already, else when
        it is. ``done`` is called before anything of the channel is written to the subscriber and
        in the same loop turn in which it joins the fan-out, so no publication falls between.
        """

    def unsubscribe(self, channel: str, subscriber: Subscriber) -> None:
        """End a subscription, or give up one in progress (then ``done`` is never called). Does
        nothing if there is none.
        """

    def num_subscribers(self, channel: str) -> int:
        """How many local connections are subscribed."""


class ControlledClient(Protocol):
    """One connection, as far as backends may order something of it."""

    @property
    def client(self) -> str:
        """Its id."""

    def feed(self, event: Event) -> None:
        """Have something happen to it; does nothing if it is over."""


class Clients(Protocol):
    """The connections of this gateway."""

    def find(self, user: str | None, client: str | None, session: str | None) -> Sequence[ControlledClient]:
        """Return those of which all that is given is true; none if neither user nor client is given."""


class ServiceUnavailableError(Exception):
    """A service, or the broker, did not answer in time: error 100 (temporary) to the client."""


class RequestFailedError(Exception):
    """A service answered that it cannot: ``error`` goes to the client."""

    def __init__(self, error: ErrorCode) -> None:
        super().__init__(error.message)
        self.error = error


class Services(Protocol):
    """The other services. Every call has a deadline; each raises ServiceUnavailableError."""

    async def connect(self, request: ConnectRequest) -> Admitted | Refused:
        """Ask auth who a client is."""

    async def subscribe(self, request: SubscribeRequest) -> Allowed | Refused:
        """Ask auth about a token for one channel."""

    async def sub_refresh(self, request: SubRefreshRequest) -> Allowed | Refused:
        """Ask auth about a new token for a channel."""

    async def refresh(self, request: RefreshRequest) -> Admitted | Refused:
        """Ask auth to prolong a connection."""

    async def publish(self, publication: Publish) -> None:
        """Publish and wait for the confirm. Calls of one task keep their order."""

    def presence(self, channel: str) -> Awaitable[Members]:
        """Who is in a channel. Raises RequestFailedError. The answer waits for what this gateway
        reported of the channel before the call, and not for what it reports before the await.
        """

    def presence_stats(self, channel: str) -> Awaitable[Stats]:
        """How many are in a channel. Otherwise as ``presence``."""

    async def history(self, request: ReadRequest) -> Page:
        """Read a stream. Raises RequestFailedError."""

    async def rpc(self, call: Call) -> CallResult:
        """Call a backend. Raises RequestFailedError, at once if there is none."""

    def tell(self, what: ClientMessage | ClientEvent) -> None:
        """Have backends told of something, at most once and in the order of the calls. Returns at once."""
