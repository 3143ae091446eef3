"""What the session core asks of the bus side, and what it is answered: plain values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from warren_gateway.domain.tags_filter import TagsFilter
from warren_shared.contracts.presence import Member
from warren_shared.contracts.publication import Position


@dataclass(frozen=True, slots=True)
class Subscribe:
    """A subscription the session core has found allowed."""

    channel: str
    recoverable: bool = False
    positioned: bool = False
    """True also where ``recoverable``."""
    recover_from: Position | None = None
    """Where the client was; None unless it is to recover. An empty epoch matches any."""
    unasked: bool = False
    """Whether the namespace wants it to recover, not the client; then the reply is not one to a recovery."""
    reject_unrecovered: bool = False
    """Whether the client, if it cannot be recovered, wants an error in place of the subscription."""
    delta: bool = False
    """Whether publications are to come as deltas against the one before."""
    tags_filter: TagsFilter | None = None
    """Which publications are wanted; None: all."""
    push_join_leave: bool = False
    member: Member | None = None
    """Whom to enter into presence; None where the namespace keeps none."""
    announce: bool = False
    """Whether the join and the leave are pushed to the channel."""


@dataclass(frozen=True, slots=True)
class Subscribed:
    """What a subscribe reply says."""

    position: Position | None = None
    """On channels with positions: the stream's top; or, if the client was recovered, where the
    publications it is given begin, as the client protocol wants it."""
    was_recovering: bool = False
    recovered: bool = False
    publications: Sequence[bytes] = ()
    """Missed publications, ascending, each a protocol Publication in the encoding the client speaks."""


@dataclass(frozen=True, slots=True)
class Publish:
    """A publication by a client."""

    channel: str
    data: bytes
    info: bytes
    """The publisher's ClientInfo as JSON."""
    message_id: str
    durable: bool
    traceparent: str | None = None
    """As the client brought it: untrusted."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a backend that the session core has found allowed."""

    method: str
    data: bytes
    user: str
    client: str
    info: str | None
    """The caller's connection info as JSON text."""
    traceparent: str | None = None
    """As the client brought it: untrusted."""


@dataclass(frozen=True, slots=True)
class ClientMessage:
    """What a client sends to backends without wanting an answer."""

    data: bytes
    user: str
    client: str
    info: str | None
    """The sender's connection info as JSON text."""


@dataclass(frozen=True, slots=True)
class CallResult:
    """What a backend answered: JSON."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Published:
    """The broker holds the publication."""
