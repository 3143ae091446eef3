"""What happens to a session."""

from __future__ import annotations

from dataclasses import dataclass

from warren_gateway.domain.commands import Command
from warren_gateway.domain.requests import CallResult, Published, Subscribed
from warren_shared.contracts.auth import Admitted, Allowed, Refused
from warren_shared.contracts.codes import Disconnect, ErrorCode, Unsubscribe
from warren_shared.contracts.history import Page
from warren_shared.contracts.presence import Members, Stats


@dataclass(frozen=True, slots=True)
class Opened:
    """The transport stands."""

    traceparent: str | None = None
    """As the client's upgrade request brought it: untrusted."""


@dataclass(frozen=True, slots=True)
class CommandReceived:
    """The client asks for something."""

    command: Command


@dataclass(frozen=True, slots=True)
class GarbageReceived:
    """The client sent what is no command."""


@dataclass(frozen=True, slots=True)
class ConnectAnswered:
    """Auth decided on the connect command; an ErrorCode says that it could not."""

    answer: Admitted | Refused | ErrorCode
    ttl: float | None = None
    """Seconds from now to ``Admitted.expire_at``."""


@dataclass(frozen=True, slots=True)
class RefreshAnswered:
    """Auth decided on a refresh command; an ErrorCode says that it could not."""

    id: int
    answer: Admitted | Refused | ErrorCode
    ttl: float | None = None


@dataclass(frozen=True, slots=True)
class SubscribeDecided:
    """Auth decided on the token for a channel; an ErrorCode says that it could not."""

    channel: str
    answer: Allowed | Refused | ErrorCode
    ttl: float | None = None
    """Seconds from now to ``Allowed.expire_at``."""


@dataclass(frozen=True, slots=True)
class SubRefreshAnswered:
    """Auth decided on a sub_refresh command; an ErrorCode says that it could not."""

    id: int
    channel: str
    answer: Allowed | Refused | ErrorCode
    ttl: float | None = None


@dataclass(frozen=True, slots=True)
class SubscribeAnswered:
    """A started subscription stands, or failed."""

    channel: str
    answer: Subscribed | ErrorCode


@dataclass(frozen=True, slots=True)
class Answered:
    """The outcome of a publish, presence, presence_stats, history or rpc command."""

    id: int
    answer: Published | Members | Stats | Page | CallResult | ErrorCode


@dataclass(frozen=True, slots=True)
class SubscriptionEnded:
    """The bus side ended a subscription; it is out of the fan-out already."""

    channel: str
    reason: Unsubscribe


@dataclass(frozen=True, slots=True)
class TimeElapsed:
    """The time a WakeAt effect asked for has come, or is past."""

    draining: bool = False
    """Whether a large reply is still on its way to the client, and a ping may be behind it."""


@dataclass(frozen=True, slots=True)
class PongReceived:
    """The client's transport answered a ping, or sent a pong of its own accord."""


@dataclass(frozen=True, slots=True)
class CloseRequested:
    """The server has a reason to close the connection."""

    disconnect: Disconnect


@dataclass(frozen=True, slots=True)
class UnsubscribeOrdered:
    """A backend ends a subscription, whoever made it."""

    channel: str


@dataclass(frozen=True, slots=True)
class SubscribeOrdered:
    """A backend makes a server-side subscription."""

    channel: str
    info: str | None = None
    """The user's info in the channel as JSON text."""
    data: bytes | None = None
    """For the client: JSON."""


@dataclass(frozen=True, slots=True)
class RefreshOrdered:
    """A backend changes when the connection expires, or its info."""

    expires: bool = False
    """Whether ``ttl`` is to be from now on; else the expiry stays what it is."""
    ttl: float = 0.0
    """Seconds from now."""
    info: str | None = None
    """JSON text of the info from now on; None: as before."""


@dataclass(frozen=True, slots=True)
class TransportClosed:
    """The transport is gone."""


Ordered = UnsubscribeOrdered | SubscribeOrdered | RefreshOrdered
"""What a backend orders of a client that has been let in."""

Event = (
    Opened
    | CommandReceived
    | GarbageReceived
    | ConnectAnswered
    | RefreshAnswered
    | SubscribeDecided
    | SubRefreshAnswered
    | SubscribeAnswered
    | Answered
    | SubscriptionEnded
    | TimeElapsed
    | PongReceived
    | CloseRequested
    | UnsubscribeOrdered
    | SubscribeOrdered
    | RefreshOrdered
    | TransportClosed
)
