"""What every link over a socket does alike: bounding what waits for the client to read."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final

from warren_gateway.adapters.connection import Connection
from warren_gateway.adapters.connections import Connections
from warren_gateway.domain.replies import DisconnectPush
from warren_gateway.ports import Framing
from warren_shared.contracts.codes import Disconnect

WORK_A_TURN: Final = 64
"""Frames and commands of one connection handled in one turn of the event loop: one or two milliseconds.
One read brings 256 KiB, which may be 40,000 frames or 14,000 commands; everybody else would wait for them."""
_LARGE: Final = 65_536
"""A reply of more bytes does not count as slowness of the client that asked for it."""
_LOOK: Final = 0.5
"""Seconds between two looks at how much of a large reply has left."""


class SocketLink(asyncio.Protocol, ABC):
    """The side of a link that writes, and its turns.

    Everything is written to the transport directly. It calls ``pause_writing`` when more waits than
    the mark given to it: that is the bound of the connection's buffer. A large reply raises the mark
    until it has left, so that what is pushed behind it has the same room as ever.
    """

    __slots__ = (
        "_call_later",
        "_call_soon",
        "_closing",
        "_connection",
        "_drain_until",
        "_due",
        "_framing",
        "_high",
        "_limits",
        "_monotonic",
        "_transport",
        "_unidirectional",
        "write",
    )

    def __init__(
        self,
        client: str,
        transport: asyncio.Transport,
        connections: Connections,
        framing: Framing,
        *,
        frame_pings: bool = False,
        unidirectional: bool = False,
    ) -> None:
        self.write: Callable[[bytes], None] = transport.write
        self._transport, self._call_soon = transport, connections.call_soon
        self._closing = False
        """Whether this side has said its last word."""
        self._due = False
        """Whether a turn is under way, or will be."""
        self._limits, self._call_later, self._monotonic = (
            connections.limits,
            connections.call_later,
            connections.monotonic,
        )
        self._high = self._limits.high_water
        self._drain_until: float | None = None
        """When a large reply must have left; None while there is none."""
        transport.set_write_buffer_limits(high=self._high)
        self._framing, self._unidirectional = framing, unidirectional
        self._connection = Connection(
            client, framing, self, connections, frame_pings=frame_pings, unidirectional=unidirectional
        )

    def eof_received(self) -> None:
        self._connection.leaving()

    def pause_writing(self) -> None:
        self._connection.overflowed()

    def resume_writing(self) -> None:
        """Nobody waits for this: a connection whose buffer was full is being closed."""

    @property
    def waiting(self) -> int:
        return self._transport.get_write_buffer_size()

    @property
    def draining(self) -> bool:
        return self._drain_until is not None

    def reply(self, packed: bytes) -> None:
        if len(packed) > _LARGE and not self._closing:
            waiting = self.waiting + len(packed)
            if waiting > self._limits.high_water + self._limits.replies:
                self._connection.overflowed()
                return
            self._raise_high_water(waiting + self._limits.high_water)
        self.write(packed)

    def _raise_high_water(self, high: int) -> None:
        if self._drain_until is None:
            self._call_later(_LOOK, self._look)
        self._drain_until = self._monotonic() + self._limits.reply_timeout
        self._set_high_water(max(self._high, high))

    def _look(self) -> None:
        """See how much of a large reply has left; what has, is not to make room for pushes."""
        waiting = self.waiting
        if self._transport.is_closing() or self._drain_until is None:
            return
        if waiting <= self._limits.write_buffer:
            self._drain_until = None
            self._set_high_water(self._limits.high_water)
        elif self._monotonic() >= self._drain_until:
            self._connection.overflowed()
        else:
            self._set_high_water(min(self._high, waiting + self._limits.high_water))
            self._call_later(_LOOK, self._look)

    def _set_high_water(self, high: int) -> None:
        if high != self._high:
            self._high = high
            self._transport.set_write_buffer_limits(high=high)

    def _last_word(self, disconnect: Disconnect) -> bytes:
        """Return the push that says why this is the end."""
        return self._framing.pack([self._framing.encoding.encode(DisconnectPush(disconnect))])

    def let_in(self, session: str) -> None:
        """See Link; it is of use to those alone whose commands come another way."""

    def ping(self) -> None:
        """See Link."""

    @abstractmethod
    def close(self, disconnect: Disconnect) -> None:
        """See Link."""

    @abstractmethod
    def resume(self) -> None:
        """See Link."""

    def abort(self) -> None:
        self._transport.abort()

    @abstractmethod
    def _turn(self) -> None:
        """Work off a bounded part of what came, and see that ``_due`` says whether there will be another turn."""

    def _turn_soon(self) -> None:
        if not self._due:
            self._due = True
            self._call_soon(self._turn)
