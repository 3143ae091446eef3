"""A connection as the fan-out sees it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from warren_gateway.domain.encoding import Encoding
from warren_shared.contracts.codes import Disconnect, Unsubscribe


class Framing(Protocol):
    """How messages become bytes on one kind of transport; one instance serves all its connections."""

    @property
    def encoding(self) -> Encoding:
        """What the messages are encoded in."""

    def pack(self, messages: Sequence[bytes]) -> bytes:
        """Frame encoded messages so that they can be written, as they are, to every connection."""


class Subscriber(Protocol):
    """One connection as the fan-out sees it; lives as long as the connection."""

    @property
    def client(self) -> str:
        """The connection's id."""

    @property
    def framing(self) -> Framing:
        """How bytes for this connection are framed."""

    @property
    def room(self) -> int:
        """Bytes of recovered publications that the reply to a subscribe may bring now. Who missed
        more is not recovered, and told so.
        """

    def write(self, packed: bytes) -> None:
        """Hand bytes to the transport: never blocks, never raises, in order. A connection that
        does not keep up is closed with 3008 by the time its bounded buffer is full. Not to be called
        from within ``Channels.subscribe`` or its ``done``: the reply may still be on its way.
        """

    def unsubscribed(self, channel: str, reason: Unsubscribe) -> None:
        """Tell the client that its subscription ended; it is out of the fan-out already."""

    def cut_off(self, reason: Disconnect) -> None:
        """Close the connection; one subscription of it is out of the fan-out already."""
