"""A TCP proxy that a test can cut, stall, slow down or turn into a black hole, to break a link between two real
parties on loopback.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final, Self
from urllib.parse import urlsplit, urlunsplit

_CHUNK: Final = 65_536
_SOCKET_BUFFER: Final = 65_536
"""What the operating system may keep for a proxy that does not read: little, and known."""


_SLICE_SECONDS: Final = 0.1
"""How much a throttled link forwards at a time."""


@dataclass(slots=True)
class _Flow:
    """How all links of a proxy flow now."""

    open: asyncio.Event = field(default_factory=asyncio.Event)
    delay: float = 0.0
    rate: float | None = None
    """Bytes a second and direction."""

    @property
    def chunk(self) -> int:
        """How many bytes to read at a time."""
        return _CHUNK if self.rate is None else max(1, min(_CHUNK, int(self.rate * _SLICE_SECONDS)))

    async def pause(self, size: int) -> None:
        """Wait before so many bytes may go on."""
        await self.open.wait()
        if seconds := self.delay + (size / self.rate if self.rate else 0.0):
            await asyncio.sleep(seconds)
            await self.open.wait()


class _Link:
    """One connection through the proxy."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, swallows: bool) -> None:
        self.reader, self.writer, self.swallows = reader, writer, swallows
        self._writers = [writer]

    async def forward(self, target: tuple[str, int], flow: _Flow) -> None:
        """Forward both ways until either side closes."""
        try:
            reader, writer = await asyncio.open_connection(*target)
        except OSError:
            self.break_off()
            return
        self._writers.append(writer)
        if self.writer.transport.is_closing():  # broken off while connecting to the target
            self.break_off()
            return
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pump(self.reader, writer, flow))
            group.create_task(self._pump(reader, self.writer, flow))

    async def swallow(self) -> None:
        """Take whatever comes and do nothing with it."""
        with suppress(OSError):
            while await self.reader.read(_CHUNK):
                pass

    def break_off(self) -> None:
        """Close both sides with a reset."""
        for writer in self._writers:
            writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, flow: _Flow) -> None:
        with suppress(OSError):
            while chunk := await reader.read(flow.chunk):
                await flow.pause(len(chunk))
                if not self.swallows:
                    writer.write(chunk)
                    await writer.drain()
        if not self.swallows:
            writer.close()


class Proxy:
    """Forwards connections to a target until a test breaks them."""

    def __init__(self, target_host: str, target_port: int) -> None:
        self._target = (target_host, target_port)
        self._links: set[_Link] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self._flow = _Flow()
        self._flow.open.set()
        self._swallows = False
        self.port = 0
        self.accepting = True

    @classmethod
    @asynccontextmanager
    async def to(cls, host: str, port: int) -> AsyncIterator[Self]:
        """Run a proxy on a free loopback port."""
        proxy = cls(host, port)
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SOCKET_BUFFER)  # accepted sockets inherit it
        server = await asyncio.start_server(proxy._serve, sock=listener)
        proxy.port = listener.getsockname()[1]
        try:
            yield proxy
        finally:
            server.close()
            await server.wait_closed()
            await proxy._end()

    def cut(self) -> None:
        """Break every connection at once, as a crash of the other side would."""
        for link in self._links:
            link.break_off()

    def black_hole(self) -> None:
        """Swallow what comes from either side, on present connections and new ones, and close none: each side
        believes the other is there. Present connections stay so for good.
        """
        self._swallows = True
        for link in self._links:
            link.swallows = True

    def fill_hole(self) -> None:
        """Forward new connections again."""
        self._swallows = False

    def stall(self) -> None:
        """Read nothing more from either side of any connection until ``flow``."""
        self._flow.open.clear()

    def flow(self) -> None:
        """Read again, and lose nothing."""
        self._flow.open.set()

    def delay(self, seconds: float) -> None:
        """Hold back what is read at a time, up to 64 KiB, for so long, in each direction; 0 holds back nothing."""
        self._flow.delay = seconds

    def throttle(self, rate: float | None) -> None:
        """Forward so many bytes a second in each direction of each connection; None forwards all at once."""
        self._flow.rate = rate

    def lead_to(self, host: str, port: int) -> None:
        """Take new connections to another target."""
        self._target = (host, port)

    async def _end(self) -> None:
        """Break every connection and wait until nothing is left of them: no socket may outlive the test's loop."""
        for serving in self._serving:
            serving.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        await asyncio.sleep(0)  # an aborted transport closes its socket in the loop's next round

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.accepting:
            writer.transport.abort()
            return
        link = _Link(reader, writer, swallows=self._swallows)
        self._links.add(link)
        serving = asyncio.current_task()
        assert serving is not None
        self._serving.add(serving)
        try:
            await (link.swallow() if link.swallows else link.forward(self._target, self._flow))
        finally:
            self._links.remove(link)
            self._serving.discard(serving)
            if link.swallows or serving.cancelling():
                link.break_off()


def through(url: str, proxy: Proxy) -> str:
    """Return a broker URL that leads through the proxy."""
    parts = urlsplit(url)
    credentials = f"{parts.username}:{parts.password}@" if parts.username else ""
    return urlunsplit(parts._replace(netloc=f"{credentials}127.0.0.1:{proxy.port}"))


@asynccontextmanager
async def proxied(url: str) -> AsyncIterator[tuple[Proxy, str]]:
    """Run a proxy before a broker; yield it and the broker's URL through it."""
    parts = urlsplit(url)
    async with Proxy.to(parts.hostname or "", parts.port or 5672) as proxy:
        yield proxy, through(url, proxy)
