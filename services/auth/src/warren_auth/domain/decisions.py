"""How a request to auth ends."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from warren_shared.contracts.auth import Admitted, Allowed, Refused
from warren_shared.contracts.codes import Disconnect, ErrorCode


class Outcome(StrEnum):
    """How a request ended; the label of its counter."""

    ADMITTED = "admitted"
    ANONYMOUS = "anonymous"
    ALLOWED = "allowed"
    NO_TOKEN = "no_token"  # noqa: S105 - an outcome's name
    INVALID_TOKEN = "invalid_token"  # noqa: S105 - likewise
    EXPIRED_TOKEN = "expired_token"  # noqa: S105 - likewise
    EXPIRED_CONNECTION = "expired_connection"
    EXPIRED_SUBSCRIPTION = "expired_subscription"
    OTHER_USER = "other_user"
    OTHER_CHANNEL = "other_channel"
    UNKNOWN_CHANNEL = "unknown_channel"
    ILLEGAL_CHANNEL = "illegal_channel"
    TOO_MANY_CHANNELS = "too_many_channels"


@dataclass(frozen=True, slots=True)
class Decision:
    """The reply, and how the request ended."""

    outcome: Outcome
    reply: Admitted | Allowed | Refused


class RefusedError(Exception):
    """What was asked for is refused."""

    def __init__(self, outcome: Outcome, answer: ErrorCode | Disconnect, detail: str) -> None:
        super().__init__(detail)
        self.outcome, self.answer, self.detail = outcome, answer, detail


def refused(answer: ErrorCode | Disconnect, detail: str) -> Refused:
    """Return the refusal that gives a client this error, or closes its connection."""
    if isinstance(answer, ErrorCode):
        return Refused(code=answer.code, reason=answer.message, temporary=answer.temporary, detail=detail)
    return Refused(code=answer.code, reason=answer.reason, disconnect=True, detail=detail)
