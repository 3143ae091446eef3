"""What a session wants done; to be performed in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from warren_gateway.domain.replies import Reply
from warren_gateway.domain.requests import Call, ClientMessage, Publish, Subscribe
from warren_shared.contracts.auth import ConnectRequest, RefreshRequest, SubRefreshRequest, SubscribeRequest
from warren_shared.contracts.clients import ClientEvent
from warren_shared.contracts.codes import Disconnect, ErrorCode
from warren_shared.contracts.history import ReadRequest


@dataclass(frozen=True, slots=True)
class Send:
    """Write to the client."""

    reply: Reply


@dataclass(frozen=True, slots=True)
class PingTransport:
    """Have the transport ping the client; the answer is a PongReceived."""


@dataclass(frozen=True, slots=True)
class Close:
    """Close the connection and tell the client why; the session is over."""

    disconnect: Disconnect


@dataclass(frozen=True, slots=True)
class Identify:
    """Let the connection be found by its user."""

    user: str


@dataclass(frozen=True, slots=True)
class RefuseOrder:
    """Note that a backend's order could not be carried out for this client; the client is not told."""

    error: ErrorCode


@dataclass(frozen=True, slots=True)
class AskConnect:
    """Ask auth to let the client in; the answer is a ConnectAnswered."""

    request: ConnectRequest


@dataclass(frozen=True, slots=True)
class AskRefresh:
    """Ask auth to prolong the connection; the answer is a RefreshAnswered."""

    id: int
    request: RefreshRequest


@dataclass(frozen=True, slots=True)
class AskSubscribe:
    """Ask auth about a token for one channel; the answer is a SubscribeDecided."""

    request: SubscribeRequest


@dataclass(frozen=True, slots=True)
class AskSubRefresh:
    """Ask auth to prolong a subscription; the answer is a SubRefreshAnswered."""

    id: int
    request: SubRefreshRequest


@dataclass(frozen=True, slots=True)
class StartSubscription:
    """Subscribe; the answer is a SubscribeAnswered."""

    request: Subscribe


@dataclass(frozen=True, slots=True)
class EndSubscription:
    """Unsubscribe, or give up a subscription in progress; there is no answer."""

    channel: str


@dataclass(frozen=True, slots=True)
class AskPublish:
    """Publish; answered by an Answered."""

    id: int
    publication: Publish


@dataclass(frozen=True, slots=True)
class AskPresence:
    """Ask who is in a channel; answered by an Answered."""

    id: int
    channel: str


@dataclass(frozen=True, slots=True)
class AskPresenceStats:
    """Ask how many are in a channel; answered by an Answered."""

    id: int
    channel: str


@dataclass(frozen=True, slots=True)
class AskHistory:
    """Read a stream; answered by an Answered."""

    id: int
    request: ReadRequest


@dataclass(frozen=True, slots=True)
class AskRpc:
    """Call a backend; answered by an Answered."""

    id: int
    call: Call


@dataclass(frozen=True, slots=True)
class Tell:
    """Tell backends; there is no answer."""

    what: ClientMessage | ClientEvent


@dataclass(frozen=True, slots=True)
class WakeAt:
    """Feed a TimeElapsed at this time or soon after; replaces what was asked before."""

    time: float


Ask = (
    AskConnect
    | AskRefresh
    | AskSubscribe
    | AskSubRefresh
    | AskPublish
    | AskPresence
    | AskPresenceStats
    | AskHistory
    | AskRpc
)
Effect = (
    Send | PingTransport | Close | StartSubscription | EndSubscription | WakeAt | Identify | RefuseOrder | Tell | Ask
)

AWAITED: Final = Ask | StartSubscription
"""Effects whose outcome is fed back as an event."""
