"""What a client is told: the replies and pushes of the client protocol, in no encoding yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from warren_gateway.domain.requests import CallResult, Published, Subscribed
from warren_shared.contracts.codes import Disconnect, ErrorCode, Unsubscribe
from warren_shared.contracts.history import Page
from warren_shared.contracts.presence import Members, Stats


class EmptyResult(StrEnum):
    """Methods whose result is an empty object, by their name on the wire."""

    UNSUBSCRIBE = "unsubscribe"
    PUBLISH = "publish"


@dataclass(frozen=True, slots=True)
class ErrorReply:
    """The command failed."""

    id: int
    error: ErrorCode


@dataclass(frozen=True, slots=True)
class EmptyReply:
    """The command was carried out; there is nothing more to say."""

    id: int
    result: EmptyResult


@dataclass(frozen=True, slots=True)
class SubscribeResult:
    """How a subscription stands."""

    subscribed: Subscribed
    recoverable: bool = False
    positioned: bool = False
    ttl: int | None = None
    """Whole seconds until it must be refreshed; None: it need not be."""
    data: bytes | None = None
    """What its token has for the client: JSON."""
    delta: bool = False
    """Whether publications come as deltas."""


@dataclass(frozen=True, slots=True)
class SubscribeReply:
    """The subscription stands."""

    id: int
    result: SubscribeResult


@dataclass(frozen=True, slots=True)
class ConnectReply:
    """The client is let in."""

    id: int
    client: str
    version: str
    node: str
    session: str
    ping: int
    """Seconds between pings; 0: there are none."""
    pong: bool
    ttl: int | None = None
    """Seconds until the connection expires; None: never."""
    subs: Mapping[str, SubscribeResult] = field(default_factory=dict)
    """Server-side subscriptions."""


@dataclass(frozen=True, slots=True)
class RefreshReply:
    """The connection is prolonged."""

    id: int
    client: str
    version: str
    ttl: int | None = None


@dataclass(frozen=True, slots=True)
class PresenceReply:
    """Who is in a channel."""

    id: int
    members: Members


@dataclass(frozen=True, slots=True)
class PresenceStatsReply:
    """How many are in a channel."""

    id: int
    stats: Stats


@dataclass(frozen=True, slots=True)
class HistoryReply:
    """A part of a stream."""

    id: int
    page: Page


@dataclass(frozen=True, slots=True)
class RpcReply:
    """What a backend answered."""

    id: int
    result: CallResult


@dataclass(frozen=True, slots=True)
class SubRefreshReply:
    """The subscription goes on."""

    id: int
    ttl: int | None


@dataclass(frozen=True, slots=True)
class UnsubscribePush:
    """The server ended a subscription."""

    channel: str
    reason: Unsubscribe


@dataclass(frozen=True, slots=True)
class SubscribePush:
    """The server made a subscription."""

    channel: str
    result: SubscribeResult


@dataclass(frozen=True, slots=True)
class RefreshPush:
    """The server changed when the connection expires."""

    ttl: int


@dataclass(frozen=True, slots=True)
class DisconnectPush:
    """The server ends the connection; on a WebSocket its close frame says so instead."""

    disconnect: Disconnect


@dataclass(frozen=True, slots=True)
class Ping:
    """A ping; the client answers with an empty command."""


Reply = (
    ErrorReply
    | EmptyReply
    | SubscribeReply
    | ConnectReply
    | RefreshReply
    | PresenceReply
    | PresenceStatsReply
    | HistoryReply
    | RpcReply
    | SubRefreshReply
    | UnsubscribePush
    | SubscribePush
    | RefreshPush
    | DisconnectPush
    | Ping
)


def reply_to(number: int, answer: Published | Members | Stats | Page | CallResult | ErrorCode) -> Reply:
    """Return the reply to a command that another service, or the broker, has answered."""
    match answer:
        case Published():
            return EmptyReply(number, EmptyResult.PUBLISH)
        case Members():
            return PresenceReply(number, answer)
        case Stats():
            return PresenceStatsReply(number, answer)
        case Page():
            return HistoryReply(number, answer)
        case CallResult():
            return RpcReply(number, answer)
        case ErrorCode():
            return ErrorReply(number, answer)
