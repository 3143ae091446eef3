"""A lane: one AMQP 0-9-1 connection under an asyncio.BufferedProtocol."""

from __future__ import annotations

import asyncio
import platform
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final, TypeVar, cast

from pamqp import base, commands, header

from warren_shared.messaging.amqp.driver import NO_VIRTUAL_HOST
from warren_shared.messaging.lane import encoder
from warren_shared.messaging.lane.address import Address
from warren_shared.messaging.lane.amqp_channel import LaneAmqpChannel
from warren_shared.messaging.lane.decoder import Decoder, Event
from warren_shared.messaging.lane.errors import NOT_ALLOWED, UNEXPECTED_FRAME, ConnectionClosedError, FrameError
from warren_shared.messaging.lane.gate import Gate, Obstacle
from warren_shared.messaging.port import BrokerUnavailableError, BusError, DeadlineExceededError

CLOSE_SECONDS: Final = 2.0
SETUP_SECONDS: Final = 10.0
WRITE_BUFFER: Final = 262_144
"""Bytes that wait for the socket before publishers are held back."""
READ_BUFFER: Final = 131_072
"""Bytes taken in one read. One buffer serves all: asyncio's other protocol allocates 256 KiB for each read, which
costs more than reading a message."""
MOST_IN_HAND: Final = 33_554_432
"""Bytes that wait for their consumers' acks before nothing more is read; read on at half of it."""
LARGEST_FRAME: Final = 131_072
_FIRST_FRAME: Final = 65_536
"""Bounds what the broker says before a size is agreed on: connection.start lists its properties."""
_LARGEST_CHANNEL: Final = 2047
_MISSED_HEARTBEATS: Final = 2
_CAPABILITIES: Final = {
    "publisher_confirms": True,
    "basic.nack": True,
    "consumer_cancel_notify": True,
    "connection.blocked": True,
    "authentication_failure_close": True,
}

M = TypeVar("M", bound=base.Frame)


class LaneConnection(asyncio.BufferedProtocol):
    """Implements warren_shared.messaging.amqp.driver.Connection."""

    def __init__(self) -> None:
        self.gate = Gate()
        self.encoder = encoder.Encoder(LARGEST_FRAME)
        self._decoder = Decoder(_FIRST_FRAME)
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._buffer = memoryview(bytearray(READ_BUFFER))
        self._channels: dict[int, LaneAmqpChannel] = {}
        self._numbers = range(1, _LARGEST_CHANNEL + 1)
        self._replies: deque[tuple[type[base.Frame], asyncio.Future[base.Frame]]] = deque()
        """What the broker is to say on channel 0 while the connection opens or closes."""
        self._outgoing: list[bytes] = []
        self._outgoing_bytes = 0
        self._flush_due = False
        self._in_hand = 0
        self._reading = True
        self._heartbeat = 0.0
        self._heartbeat_timer: asyncio.TimerHandle | None = None
        self._last_received = self._last_written = self._loop.time()
        self._error: BusError | None = None
        self._lost: asyncio.Future[None] = self._loop.create_future()

    @property
    def is_closed(self) -> bool:
        """Whether the connection is gone."""
        return self._error is not None

    async def wait_closed(self) -> None:
        """Wait until the connection is gone, for whatever reason."""
        await asyncio.shield(self._lost)

    def silent_for(self) -> float:
        """Return for how many seconds the broker has said nothing; 0 while it is blocked, or is not listened to."""
        if not self._reading or Obstacle.ALARM in self.gate.obstacles:
            return 0.0
        return self._loop.time() - self._last_received

    # Opening and closing

    async def handshake(self, address: Address, *, name: str, heartbeat: int) -> None:
        """Log in and open the virtual host (AMQP 0-9-1 section 2.2.4)."""
        self._send(header.ProtocolHeader().marshal())
        start = await self._reply(commands.Connection.Start)
        if address.mechanism not in (start.mechanisms or "").split():
            raise ConnectionClosedError(f"the broker offers no {address.mechanism} login")
        self.write(encoder.method(0, _start_ok(address, name)))
        tune = await self._reply(commands.Connection.Tune)
        frame_max = min(tune.frame_max or LARGEST_FRAME, LARGEST_FRAME)
        self._numbers = range(1, min(tune.channel_max or _LARGEST_CHANNEL, _LARGEST_CHANNEL) + 1)
        self._heartbeat = float(min(heartbeat, tune.heartbeat or heartbeat))
        self.encoder = encoder.Encoder(frame_max)
        self._decoder.frame_max = frame_max
        self.write(
            encoder.method(0, commands.Connection.TuneOk(self._numbers.stop - 1, frame_max, int(self._heartbeat)))
        )
        self.write(encoder.method(0, commands.Connection.Open(address.vhost)))
        await self._reply(commands.Connection.OpenOk)
        self._beat()

    async def close(self) -> None:
        """Close the connection, giving the broker two seconds to agree."""
        if self._error is None:
            self.write(encoder.method(0, commands.Connection.Close(200, "", 0, 0)))
            with suppress(BusError, TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self._reply(commands.Connection.CloseOk)
        self._fail(ConnectionClosedError("the connection was closed"))

    @asynccontextmanager
    async def amqp_channel(self, *, confirms: bool) -> AsyncIterator[LaneAmqpChannel]:
        """Open an amqp channel for the block's time."""
        if self._error is not None:
            raise self._error
        number = next((number for number in self._numbers if number not in self._channels), None)
        if number is None:
            raise BrokerUnavailableError("the connection has no amqp channel left")
        channel = self._channels[number] = LaneAmqpChannel(number, self)
        try:
            try:
                async with asyncio.timeout(SETUP_SECONDS):
                    await channel.open(confirms=confirms)
            except TimeoutError as error:
                raise DeadlineExceededError("the broker did not answer in time") from error
            yield channel
        finally:
            with suppress(BusError, TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await channel.close()

    def _reply(self, wanted: type[M]) -> asyncio.Future[M]:
        """Return what comes in answer to what was just written."""
        if self._error is not None:
            raise self._error
        future: asyncio.Future[base.Frame] = self._loop.create_future()
        self._replies.append((wanted, future))
        return cast("asyncio.Future[M]", future)

    # The socket

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # of TCP and TLS
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER)  # type: ignore[union-attr]  # see above

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - the name is asyncio's
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._last_received = self._loop.time()
        try:
            self._take(self._decoder.feed(bytes(self._buffer[:nbytes])))
        except FrameError as error:
            self._refuse(error)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(ConnectionClosedError(str(exc) if exc else "the connection to the broker was lost"))
        if not self._lost.done():
            self._lost.set_result(None)

    def pause_writing(self) -> None:
        self.gate.put(Obstacle.SOCKET)

    def resume_writing(self) -> None:
        self.gate.clear(Obstacle.SOCKET)

    def write(self, frames: bytes) -> None:
        """Have frames written at the end of this turn of the event loop, with what else comes."""
        self._outgoing.append(frames)
        self._outgoing_bytes += len(frames)
        if self._outgoing_bytes > WRITE_BUFFER:
            self._flush()
        elif not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self._flush)

    def hold(self, size: int) -> None:
        """See amqp_channel.Wire. The broker finds the socket full and waits, for all that goes over this connection:
        what was delivered can be acked without reading more. That it is gone is meanwhile noticed by writing: the
        heartbeats go on.
        """
        self._in_hand += size
        if self._transport is None or self._error is not None:
            return
        if self._reading and self._in_hand > MOST_IN_HAND:
            self._reading = False
            self._transport.pause_reading()
        elif not self._reading and self._in_hand <= MOST_IN_HAND // 2:
            self._reading = True
            self._last_received = self._loop.time()
            self._transport.resume_reading()

    def released(self, number: int) -> None:
        """See amqp_channel.Wire."""
        self._channels.pop(number, None)

    def _flush(self) -> None:
        self._flush_due = False
        if self._outgoing:
            frames, self._outgoing = b"".join(self._outgoing), []
            self._outgoing_bytes = 0
            self._send(frames)

    def _send(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._last_written = self._loop.time()
            self._transport.write(data)

    # What arrives

    def _take(self, events: list[tuple[int, Event]]) -> None:
        for number, event in events:
            if type(event) is list:
                channel = self._channels.get(number)
                if channel is not None:
                    channel.take_deliveries(event)
            else:
                self._take_other(number, event)

    def _take_other(self, number: int, event: Event) -> None:
        if number == 0:
            self._take_of_connection(event)
            return
        channel = self._channels.get(number)
        if channel is not None and not isinstance(event, list):
            channel.take(event)

    def _take_of_connection(self, event: Event) -> None:
        match event:
            case commands.Connection.Close():
                self._flush()
                self._send(encoder.method(0, commands.Connection.CloseOk()))
                self._fail(ConnectionClosedError(event.reply_text or "", event.reply_code or 0))
            case commands.Connection.Blocked():
                self.gate.put(Obstacle.ALARM)
            case commands.Connection.Unblocked():
                self.gate.clear(Obstacle.ALARM)
            case base.Frame():
                self._take_reply(event)
            case _:
                raise FrameError(UNEXPECTED_FRAME, "content on channel 0")

    def _take_reply(self, reply: base.Frame) -> None:
        if not self._replies or not isinstance(reply, self._replies[0][0]):
            raise FrameError(UNEXPECTED_FRAME, f"{reply.name} was not asked for")
        _, future = self._replies.popleft()
        if not future.done():
            future.set_result(reply)

    # How it ends

    def _refuse(self, error: FrameError) -> None:
        self._flush()
        self._send(encoder.method(0, commands.Connection.Close(error.code, str(error)[:255], 0, 0)))
        self._fail(ConnectionClosedError(f"the broker sent what is no AMQP: {error}", error.code))

    def _fail(self, error: BusError) -> None:
        if self._error is not None:
            return
        self._flush()
        self._error = error
        if self._heartbeat_timer is not None:
            self._heartbeat_timer.cancel()
        self.gate.fail(error)
        for channel in tuple(self._channels.values()):
            channel.fail(error)
        while self._replies:
            _, future = self._replies.popleft()
            if not future.done():
                future.set_exception(error)
        if self._transport is None:
            self._lost.set_result(None)
            return
        self._transport.close()
        self._loop.call_later(CLOSE_SECONDS, self._transport.abort)  # what cannot be flushed is given up

    def _beat(self) -> None:
        """Send a heartbeat if nothing else was sent; give up if nothing was received (section 4.2.7)."""
        if not self._heartbeat or self._error is not None:
            return
        now = self._loop.time()
        if self._reading and now - self._last_received > _MISSED_HEARTBEATS * self._heartbeat:
            transport = self._transport
            self._fail(ConnectionClosedError("the broker sent no heartbeat"))
            if transport is not None:
                transport.abort()
            return
        if now - self._last_written >= self._heartbeat / 2:
            self._send(encoder.HEARTBEAT)
        self._heartbeat_timer = self._loop.call_later(self._heartbeat / 2, self._beat)


def _start_ok(address: Address, name: str) -> commands.Connection.StartOk:
    properties = {
        "product": "Warren",
        "platform": f"Python {platform.python_version()}",
        "connection_name": name,
        "capabilities": dict(_CAPABILITIES),
    }
    return commands.Connection.StartOk(properties, address.mechanism, address.response, "en_US")  # type: ignore[arg-type]


async def connect(url: str, *, name: str, heartbeat: int) -> LaneConnection:
    """Open a connection. Raises BrokerUnavailableError or DeadlineExceededError."""
    try:
        address = Address.of(url)
        async with asyncio.timeout(SETUP_SECONDS):
            return await _connect(address, name=name, heartbeat=heartbeat)
    except TimeoutError as error:
        raise DeadlineExceededError("the broker did not answer in time") from error
    except ConnectionClosedError as error:
        if error.code == NOT_ALLOWED:
            raise BrokerUnavailableError(NO_VIRTUAL_HOST) from error
        raise
    except (OSError, ValueError, FrameError) as error:
        raise BrokerUnavailableError(str(error) or type(error).__name__) from error


async def _connect(address: Address, *, name: str, heartbeat: int) -> LaneConnection:
    context = await asyncio.to_thread(address.tls_context) if address.tls else None
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(
        LaneConnection, address.host, address.port, ssl=context, server_hostname=address.host if context else None
    )
    try:
        await connection.handshake(address, name=name, heartbeat=heartbeat)
    except BaseException:
        connection._fail(ConnectionClosedError("the connection could not be opened"))  # noqa: SLF001 - its maker
        raise
    return connection
