"""Error, disconnect and unsubscribe codes of the Centrifuge client protocol v2.

The ranges tell an SDK what to do. Disconnects: 3000-3499 reconnect, 3500-3999 stay away,
4000-4499 and 4500-4999 likewise for applications. Unsubscribes: from 2500 on the SDK resubscribes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MAX_CLOSE_REASON_BYTES: Final = 123
"""RFC 6455 section 5.5: a control frame holds 125 bytes, two of them are the close code."""


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """An error reply: the operation failed, the connection lives on."""

    code: int
    message: str
    temporary: bool = False


@dataclass(frozen=True, slots=True)
class Disconnect:
    """A close of the connection, with the code and reason its client is told."""

    code: int
    reason: str

    @property
    def reconnect(self) -> bool:
        """Whether a client's SDK will try again by itself."""
        return not (3500 <= self.code < 4000 or 4500 <= self.code < 5000)


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """The server ends one subscription of a client."""

    code: int
    reason: str


class Errors:
    """Every error code a reply may carry."""

    INTERNAL = ErrorCode(100, "internal server error", temporary=True)
    UNAUTHORIZED = ErrorCode(101, "unauthorized")
    UNKNOWN_CHANNEL = ErrorCode(102, "unknown channel")
    PERMISSION_DENIED = ErrorCode(103, "permission denied")
    METHOD_NOT_FOUND = ErrorCode(104, "method not found")
    ALREADY_SUBSCRIBED = ErrorCode(105, "already subscribed")
    LIMIT_EXCEEDED = ErrorCode(106, "limit exceeded")
    BAD_REQUEST = ErrorCode(107, "bad request")
    NOT_AVAILABLE = ErrorCode(108, "not available")
    TOKEN_EXPIRED = ErrorCode(109, "token expired")
    EXPIRED = ErrorCode(110, "expired")
    TOO_MANY_REQUESTS = ErrorCode(111, "too many requests", temporary=True)
    UNRECOVERABLE_POSITION = ErrorCode(112, "unrecoverable position")


class Disconnects:
    """Every code Warren closes a connection with."""

    CONNECTION_CLOSED = Disconnect(3000, "connection closed")
    SHUTDOWN = Disconnect(3001, "shutdown")
    INTERNAL = Disconnect(3004, "internal server error")
    EXPIRED = Disconnect(3005, "connection expired")
    SUBSCRIPTION_EXPIRED = Disconnect(3006, "subscription expired")
    SLOW = Disconnect(3008, "slow")
    WRITE_ERROR = Disconnect(3009, "write error")
    INSUFFICIENT_STATE = Disconnect(3010, "insufficient state")
    FORCE_RECONNECT = Disconnect(3011, "force reconnect")
    NO_PONG = Disconnect(3012, "no pong")
    TOO_MANY_REQUESTS = Disconnect(3013, "too many requests")
    INVALID_TOKEN = Disconnect(3500, "invalid token")
    BAD_REQUEST = Disconnect(3501, "bad request")
    STALE = Disconnect(3502, "stale")
    FORCE_DISCONNECT = Disconnect(3503, "force disconnect")
    CONNECTION_LIMIT = Disconnect(3504, "connection limit")
    CHANNEL_LIMIT = Disconnect(3505, "channel limit")
    INAPPROPRIATE_PROTOCOL = Disconnect(3506, "inappropriate protocol")
    PERMISSION_DENIED = Disconnect(3507, "permission denied")
    NOT_AVAILABLE = Disconnect(3508, "not available")
    TOO_MANY_ERRORS = Disconnect(3509, "too many errors")


class Unsubscribes:
    """Every code of an unsubscribe push."""

    SERVER = Unsubscribe(2000, "server unsubscribe")
    INSUFFICIENT_STATE = Unsubscribe(2500, "insufficient state")
    EXPIRED = Unsubscribe(2501, "subscription expired")
