"""A WebSocket link over a transport that the test reads, in turns of the loop that the test takes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

from websockets.frames import Frame, Opcode

from warren_gateway.adapters.asking import Asking
from warren_gateway.adapters.connections import ConnectionLimits, Connections
from warren_gateway.adapters.frames import Opcode as Sent
from warren_gateway.adapters.framing import JSON_FRAMING
from warren_gateway.adapters.websocket import WebSocketLink
from warren_gateway.domain.rules import SessionRules
from warren_gateway.ports import Framing
from warren_gateway.socket_metrics import SocketCounters
from warren_shared.runtime.clock import SystemClock

from .bus_fakes import ManualClock, Turns
from .socket_fakes import NAMESPACES, FakeChannels, FakeServices


class Transport(asyncio.Transport):
    """A socket whose peer takes as much as the test says, everything at first."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.reading, self.closing = True, False
        self.takes: int | None = None
        """Bytes the peer still takes; None: all."""
        self.waiting = 0
        self.high = 65_536
        self.link: WebSocketLink | None = None
        self.break_at: int | None = None
        """The write at which the peer turns out to be gone."""

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))
        if self.break_at is not None and len(self.written) >= self.break_at:
            self.closing = True
            return
        taken = len(data) if self.takes is None else min(self.takes, len(data))
        if self.takes is not None:
            self.takes -= taken
        before, self.waiting = self.waiting, self.waiting + len(data) - taken
        if before <= self.high < self.waiting and self.link is not None:
            self.link.pause_writing()

    def drain(self) -> None:
        """The peer reads everything."""
        self.takes, self.waiting = None, 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        assert low is None
        self.high = 65_536 if high is None else high

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        pass

    def can_write_eof(self) -> bool:
        return False

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = True

    def frames(self, opcode: int) -> list[bytes]:
        """Return the payloads of the frames that were written, of one kind."""
        found, rest = [], b"".join(self.written)
        while rest:
            size, header = rest[1], 2
            if size >= 126:
                header = 4 if size == 126 else 10
                size = int.from_bytes(rest[2:header])
            if rest[0] & 0x0F == opcode:
                found.append(rest[header : header + size])
            rest = rest[header + size :]
        return found

    @property
    def messages(self) -> list[dict[str, Any]]:
        """What the client was told."""
        return [json.loads(payload) for payload in self.frames(Sent.TEXT)]

    @property
    def close_code(self) -> int | None:
        """What the client was told as the reason of the end."""
        closes = self.frames(Sent.CLOSE)
        return int.from_bytes(closes[0][:2]) if closes else None


class Links:
    """Links that share one gateway's connections."""

    def __init__(self, connections: Connections, channels: FakeChannels, services: FakeServices, turns: Turns) -> None:
        self.connections, self.channels, self.services, self.turns = connections, channels, services, turns
        self.clock = ManualClock()
        self.looks = Turns()
        connections.call_soon = turns.defer  # type: ignore[assignment]  # a loop whose turns the test takes
        connections.call_later = lambda _, look: self.looks.defer(look)  # type: ignore[assignment,misc]  # likewise
        connections.monotonic = self.clock.monotonic

    def open(
        self, name: str = "c", *, frame_pings: bool = False, framing: Framing = JSON_FRAMING
    ) -> tuple[WebSocketLink, Transport]:
        transport = Transport()
        link = WebSocketLink(name, transport, 65_536, self.connections, framing, frame_pings=frame_pings)
        transport.link = link
        link.open(b"", None)
        return link, transport

    async def let_in(self, name: str = "c", *, frame_pings: bool = False) -> tuple[WebSocketLink, Transport]:
        """Open a link whose client has its connect reply."""
        link, transport = self.open(name, frame_pings=frame_pings)
        link.data_received(text('{"id":1,"connect":{}}'))
        await self.until(lambda: bool(transport.written))
        self.turns.run()
        return link, transport

    async def until(self, condition: Callable[[], bool]) -> None:
        """Take turns until something holds."""
        async with asyncio.timeout(5):
            while not condition():
                self.turns.turn()
                await asyncio.sleep(0)


@asynccontextmanager
async def links(*, limits: ConnectionLimits | None = None, rules: dict[str, Any] | None = None) -> AsyncIterator[Links]:
    """Make links; only the test takes turns of the loop for them."""
    channels, turns, clock = FakeChannels(), Turns(), SystemClock()
    services = FakeServices(channels)
    session_rules = SessionRules("gw", "Warren 0", lambda: NAMESPACES, lambda: "id", lambda: 0.0, **(rules or {}))
    async with asyncio.TaskGroup() as tasks:
        connections = Connections(
            session_rules,
            channels,
            Asking(services, tasks, clock),
            SocketCounters(),
            limits or ConnectionLimits(),
            clock.monotonic,
        )
        yield Links(connections, channels, services, turns)


def text(*commands: str) -> bytes:
    """Return a client's message."""
    return Frame(Opcode.TEXT, "\n".join(commands).encode()).serialize(mask=True)


def pings(payloads: Iterable[bytes]) -> bytes:
    """Return a client's pings."""
    return b"".join(Frame(Opcode.PING, payload).serialize(mask=True) for payload in payloads)
