"""The other side of an AMQP connection, scripted: for what a real broker does only in trouble."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Self, TypeVar

from pamqp import base, body, commands, frame, header, heartbeat

T = TypeVar("T")
_PROTOCOL_HEADER_BYTES = 8


class Peer:
    """Reads frames with pamqp and answers as a test tells it to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self._data = b""

    async def read(self, wanted: type[T]) -> tuple[int, T]:
        """Return the next frame of a type; others are passed over."""
        while True:
            number, each = await self._next()
            if isinstance(each, wanted):
                return number, each

    async def _next(self) -> tuple[int, Any]:
        async with asyncio.timeout(5):
            while True:
                if len(self._data) >= 8 and len(self._data) >= int.from_bytes(self._data[3:7], "big") + 8:
                    used, number, each = frame.unmarshal(self._data)
                    self._data = self._data[used:]
                    return number, each
                chunk = await self.reader.read(65536)
                if not chunk:
                    raise ConnectionResetError
                self._data += chunk

    def send(self, number: int, *frames: base.Frame | heartbeat.Heartbeat) -> None:
        """Send frames on an amqp channel."""
        self.writer.write(b"".join(frame.marshal(each, number) for each in frames))

    def deliver(self, number: int, tag: int, content: bytes, *, headers: dict[str, Any] | None = None) -> None:
        """Deliver a message."""
        method = commands.Basic.Deliver("tag", tag, False, "x", "k")
        properties = header.ContentHeader(0, len(content), commands.Basic.Properties(headers=headers))
        parts: list[Any] = [method, properties, *([body.ContentBody(content)] if content else [])]
        self.writer.write(b"".join(frame.marshal(each, number) for each in parts))

    async def accept(self, *, frame_max: int = 131072, heartbeat_seconds: int = 0, channel_max: int = 7) -> None:
        """Let the client log in."""
        await self.reader.readexactly(_PROTOCOL_HEADER_BYTES)
        self.send(0, commands.Connection.Start(0, 9, {}, "AMQPLAIN PLAIN EXTERNAL", "en_US"))
        await self.read(commands.Connection.StartOk)
        self.send(0, commands.Connection.Tune(channel_max, frame_max, heartbeat_seconds))
        await self.read(commands.Connection.TuneOk)
        await self.read(commands.Connection.Open)
        self.send(0, commands.Connection.OpenOk())

    async def open_channel(self, *, confirms: bool = False) -> int:
        """Let the client open an amqp channel; returns its number."""
        number, _ = await self.read(commands.Channel.Open)
        self.send(number, commands.Channel.OpenOk())
        if confirms:
            await self.read(commands.Confirm.Select)
            self.send(number, commands.Confirm.SelectOk())
        return number


class Listening:
    """Hands over the peers of connections that were made."""

    def __init__(self) -> None:
        self._peers: asyncio.Queue[Peer] = asyncio.Queue()
        self._writers: list[asyncio.StreamWriter] = []
        self.port = 0

    @classmethod
    @asynccontextmanager
    async def anywhere(cls) -> AsyncIterator[Self]:
        """Listen on a free loopback port."""
        listening = cls()
        server = await asyncio.start_server(listening._made, "127.0.0.1", 0)
        listening.port = server.sockets[0].getsockname()[1]
        try:
            yield listening
        finally:
            for writer in listening._writers:
                writer.transport.abort()
            server.close()
            with suppress(TimeoutError):
                async with asyncio.timeout(5):
                    await server.wait_closed()

    def _made(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        self._peers.put_nowait(Peer(reader, writer))

    async def peer(self) -> Peer:
        """Return the peer of the next connection."""
        async with asyncio.timeout(5):
            return await self._peers.get()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"amqp://user:secret@127.0.0.1:{self.port}/v"
