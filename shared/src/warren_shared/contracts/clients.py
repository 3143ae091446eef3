"""What gateways tell backends of their clients, on ``warren.events``, where the operator asks for it.

Each is told at most once. Those of one connection come in the order in which they happened; those of different
connections may be in any. A gateway that is killed says nothing of the end of its connections.
"""

from __future__ import annotations

from typing import Final

from warren_shared.contracts.envelope import Message

MAX_DATA_BYTES: Final = 16_384
"""Of what a client may send with its connect, or a subscribe."""


class ClientEvent(Message):
    """What all of them say."""

    gateway: str
    """The id of the gateway that holds the connection."""
    client: str
    """The connection's id, never used again."""
    user: str = ""
    """Empty for an anonymous user."""
    at: int = 0
    """Unix milliseconds at which it happened, by the gateway's clock."""


class ClientConnected(ClientEvent):
    """A client was let in."""

    type_name = "client.connected"

    info: str | None = None
    """The token's info claim as JSON text."""
    data: str | None = None
    """What the client sent with its connect: JSON text, or base64 where ``binary``. Nobody has looked at it."""
    binary: bool = False


class ClientDisconnected(ClientEvent):
    """A client that was let in is gone."""

    type_name = "client.disconnected"

    code: int
    """What it was closed with: one of the protocol's codes; 3000 if it went by itself, or its network did."""
    reason: str
    seconds: float = 0.0
    """How long it was connected."""


class ClientSubscribed(ClientEvent):
    """A subscription stands, one that the server made included. One that recovers after a reconnect is a new one."""

    type_name = "client.subscribed"

    channel: str
    data: str | None = None
    """What the client sent with its subscribe, as in ClientConnected."""
    binary: bool = False


class ClientUnsubscribed(ClientEvent):
    """A subscription is over."""

    type_name = "client.unsubscribed"

    channel: str
    code: int = 0
    """0: the client ended it; 1: its connection is gone; else the protocol's code of an unsubscribe push."""
    reason: str = ""
