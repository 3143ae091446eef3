"""One amqp channel of a lane: confirmed publishing, one consumer, and calls that are answered."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeVar, cast

import structlog
from pamqp import base, commands

from warren_shared.messaging.amqp.driver import OnDeliveries
from warren_shared.messaging.lane import declaring, encoder
from warren_shared.messaging.lane.confirms import Confirms, Settlement
from warren_shared.messaging.lane.deadlines import Deadlines
from warren_shared.messaging.lane.decoder import Confirmed, Returned
from warren_shared.messaging.lane.delivery import ReadDelivery
from warren_shared.messaging.lane.errors import (
    PRECONDITION_FAILED,
    UNEXPECTED_FRAME,
    AmqpChannelClosedError,
    FrameError,
)
from warren_shared.messaging.lane.gate import Gate, Obstacle
from warren_shared.messaging.lane.in_hand import InHand
from warren_shared.messaging.port import (
    BrokerUnavailableError,
    BusError,
    DeadlineExceededError,
    Headers,
    Outgoing,
    UnroutableError,
    UnsendableMessageError,
)
from warren_shared.topology.declarations import Binding, Exchange

MOST_UNCONFIRMED: Final = 65_536
"""Messages without an answer beyond which nothing more is published: a queue without its majority takes messages and
confirms none, and each is remembered here until it is."""

M = TypeVar("M", bound=base.Frame)
_log = structlog.get_logger()


class Wire(Protocol):
    """What an amqp channel needs of its connection."""

    @property
    def encoder(self) -> encoder.Encoder:
        """Encodes messages within the negotiated frame size."""

    @property
    def gate(self) -> Gate:
        """Holds publishers back."""

    def write(self, frames: bytes) -> None:
        """Have frames written at the end of this turn of the event loop."""

    def hold(self, size: int) -> None:
        """So many more bytes, or with a minus fewer, wait for their consumer's ack."""

    def released(self, number: int) -> None:
        """The amqp channel's number is free again."""


class LaneAmqpChannel:
    """Implements warren_shared.messaging.amqp.driver.AmqpChannel."""

    def __init__(self, number: int, wire: Wire) -> None:
        self.number = number
        self._wire = wire
        self._loop = asyncio.get_running_loop()
        self._confirms = Confirms()
        self._deadlines = Deadlines(self._confirms, self._loop)
        self._mandatory: dict[str | None, Settlement] = {}
        """What waits for its confirm, by message id. The broker returns a message before it confirms it."""
        self._replies: deque[tuple[type[base.Frame], asyncio.Future[base.Frame]]] = deque()
        self._on_deliveries: OnDeliveries | None = None
        self._in_hand: InHand | None = None
        """Of a consumer that acks."""
        self._error: BusError | None = None
        self._closing = False
        self._ended: asyncio.Future[None] = self._loop.create_future()
        """Done when the amqp channel is closed, or its consumer gone."""
        self._agreed: asyncio.Future[None] = self._loop.create_future()
        """Done when neither side will say anything more on it."""

    # Publishing

    async def publish(self, message: Outgoing, *, deadline: float) -> None:
        """Publish and wait for the confirm, as the port promises."""
        frames = self._wire.encoder.publish(self.number, message)
        settlement = Settlement(self._loop.create_future(), self._loop.time() + deadline)
        if message.mandatory:
            self._mandatory[message.message_id] = settlement
        try:
            if self._wire.gate.free:
                self._write_counted(frames, settlement)
            else:
                await self._write_when_free((frames,), settlement)
            self._deadlines.watch(settlement.until)
            await settlement.wait()
        finally:
            if message.mandatory:
                del self._mandatory[message.message_id]

    async def publish_all(self, messages: Sequence[Outgoing], *, deadline: float) -> None:
        """Publish in order and wait for all confirms, as the port promises."""
        encode, number = self._wire.encoder.publish, self.number
        frames = [encode(number, message) for message in messages]
        settlement = Settlement(self._loop.create_future(), self._loop.time() + deadline)
        await self._write_when_free(frames, settlement)
        if frames:
            self._deadlines.watch(settlement.until)
            await settlement.wait()

    async def _write_when_free(self, frames: Sequence[bytes], settlement: Settlement) -> None:
        gate = self._wire.gate
        try:
            for each in frames:
                if gate.free:
                    self._write_counted(each, settlement)
                else:
                    await self._enter(settlement.until)
                    try:
                        self._write_counted(each, settlement)
                    finally:
                        gate.left()
        except BaseException:
            settlement.leave()
            raise

    async def write(self, message: Outgoing, *, deadline: float) -> None:
        """Publish without a confirm; waits while the broker takes nothing."""
        self._check_open()
        frames = self._wire.encoder.publish(self.number, message)
        if self._wire.gate.free:
            self._wire.write(frames)
            return
        await self._enter(self._loop.time() + deadline)
        try:
            self._check_open()
            self._wire.write(frames)
        finally:
            self._wire.gate.left()

    async def _enter(self, until: float) -> None:
        try:
            async with asyncio.timeout_at(until):
                await self._wire.gate.enter()
        except TimeoutError as error:
            raise DeadlineExceededError("the broker took no messages in time") from error

    def _write_counted(self, frames: bytes, settlement: Settlement) -> None:
        self._check_open()
        if len(self._confirms) >= MOST_UNCONFIRMED:
            raise BrokerUnavailableError("the broker confirms nothing")
        self._confirms.sent(settlement)
        self._wire.write(frames)

    # Consuming

    async def consume(self, queue: str, on_deliveries: OnDeliveries, *, prefetch: int | None = None) -> None:
        """Consume a queue: with ``prefetch`` deliveries are to be acked, without they are not.

        ``on_deliveries`` gets what one read of the socket brought. An amqp channel has one consumer.
        """
        self._check_open()
        if self._on_deliveries is not None:
            raise RuntimeError("an amqp channel has one consumer")
        if prefetch is not None:
            await self._call(commands.Basic.Qos(prefetch_count=prefetch), commands.Basic.QosOk)
            self._in_hand = InHand()
        self._on_deliveries = on_deliveries
        await self._call(commands.Basic.Consume(queue=queue, no_ack=prefetch is None), commands.Basic.ConsumeOk)

    async def ack(self, tag: int) -> None:
        """Ack everything up to a delivery."""
        self._check_open()
        self._wire.write(encoder.ack(self.number, tag, multiple=True))
        if self._in_hand is not None:
            self._wire.hold(-self._in_hand.acked(tag))

    async def wait_ended(self) -> None:
        """Wait until the amqp channel closes or the broker cancels its consumer; raises why."""
        await asyncio.shield(self._ended)

    def on_ended(self, callback: Callable[[], None]) -> None:
        """Have something called when ``wait_ended`` would raise."""
        self._ended.add_done_callback(lambda _: callback())

    def check(self) -> None:
        """Raise why the amqp channel, or its consumer, ended, if it did."""
        if self._ended.done():
            self._ended.result()

    @property
    def is_closed(self) -> bool:
        """Whether it is closed."""
        return self._error is not None or self._closing

    async def ask(self) -> None:
        """Ask the broker something that changes nothing, and wait for its answer."""
        await self._call(commands.Basic.Qos(prefetch_count=0), commands.Basic.QosOk)

    # Declaring

    async def declare_exchange(self, exchange: Exchange) -> None:
        """Declare a durable exchange."""
        await self._call(declaring.declare_exchange(exchange), commands.Exchange.DeclareOk)

    async def declare_queue(
        self,
        name: str,
        *,
        arguments: Headers,
        durable: bool = False,
        exclusive: bool = False,
        auto_delete: bool = False,
    ) -> None:
        """Declare a queue."""
        await self._call(
            declaring.declare_queue(name, arguments, durable=durable, exclusive=exclusive, auto_delete=auto_delete),
            commands.Queue.DeclareOk,
        )

    async def bind(self, bindings: Sequence[Binding]) -> None:
        """Make bindings, all asked for before the first answer."""
        await self._all([self._call(*declaring.bind(each)) for each in bindings])

    async def unbind(self, bindings: Sequence[Binding]) -> None:
        """Remove bindings, all asked for before the first answer."""
        await self._all([self._call(*declaring.unbind(each)) for each in bindings])

    async def _all(self, replies: Sequence[asyncio.Future[base.Frame]]) -> None:
        # The broker answers in order, and an error ends them all. Nobody else looks at the others' errors.
        try:
            for reply in replies:
                await reply
        finally:
            for reply in replies:
                if not reply.cancel() and not reply.cancelled():
                    reply.exception()

    # Opening, closing, calls

    async def open(self, *, confirms: bool) -> None:
        """Open it; with ``confirms`` the broker confirms what is published."""
        await self._call(commands.Channel.Open(), commands.Channel.OpenOk)
        if confirms:
            await self._call(commands.Confirm.Select(), commands.Confirm.SelectOk)

    async def close(self) -> None:
        """Close it, and wait until the broker agrees, or the connection is gone."""
        if not self.is_closed:
            self._wire.write(encoder.method(self.number, commands.Channel.Close(200, "", 0, 0)))
            self._closing = True
            self._let_go()  # the broker's answer comes behind deliveries that nobody will ack
            await asyncio.shield(self._agreed)

    def _call(self, method: base.Frame, reply: type[M]) -> asyncio.Future[M]:
        self._check_open()
        future: asyncio.Future[base.Frame] = self._loop.create_future()
        self._replies.append((reply, future))
        self._wire.write(encoder.method(self.number, method))
        return cast("asyncio.Future[M]", future)

    def _check_open(self) -> None:
        if self._error is not None:
            raise self._error
        if self._closing:
            raise BrokerUnavailableError("the amqp channel was closed")

    # What the connection brings

    def take_deliveries(self, deliveries: Sequence[ReadDelivery]) -> None:
        """Hand deliveries to the consumer."""
        if self._on_deliveries is None:
            return
        if self._in_hand is not None:
            self._wire.hold(self._in_hand.took(deliveries))
        try:
            self._on_deliveries(deliveries)
        except Exception:  # noqa: BLE001 - a consumer's bug must not end the connection; it is logged whole
            _log.exception("consumer_crashed", deliveries=len(deliveries))

    def take(self, event: Confirmed | Returned | base.Frame) -> None:
        """Take anything else. Raises FrameError for what was not asked for."""
        match event:
            case Confirmed():
                for settlement in self._confirms.settle(event):
                    settlement.finish()
            case Returned():
                self._take_back(event)
            case commands.Channel.Close():
                self._wire.write(encoder.method(self.number, commands.Channel.CloseOk()))
                self._end(AmqpChannelClosedError(event.reply_text or "", event.reply_code or 0))
                if not self._closing:  # else the broker's answer to our own Close is still to come
                    self._release()
            case commands.Channel.CloseOk() if self._closing:
                # However late; and what was asked before an error is never answered.
                self._end(AmqpChannelClosedError("the amqp channel was closed"))
                self._release()
            case commands.Channel.Flow():
                if event.active:
                    self._wire.gate.clear(Obstacle.FLOW, self.number)
                else:
                    self._wire.gate.put(Obstacle.FLOW, self.number)
                self._wire.write(encoder.method(self.number, commands.Channel.FlowOk(bool(event.active))))
            case commands.Basic.Cancel():
                self._end_consumer(BrokerUnavailableError("the broker cancelled the consumer"))
            case _:
                self._take_reply(event)

    def _take_back(self, returned: Returned) -> None:
        settlement = self._mandatory.get(returned.delivery.message_id)
        if settlement is not None:  # told with the confirm that follows
            settlement.error = UnroutableError("no queue takes the message")

    def _take_reply(self, reply: base.Frame) -> None:
        if not self._replies or not isinstance(reply, self._replies[0][0]):
            raise FrameError(UNEXPECTED_FRAME, f"{reply.name} was not asked for")
        _, future = self._replies.popleft()
        if not future.done():
            future.set_result(reply)

    def fail(self, error: BusError) -> None:
        """The connection is gone."""
        self._end(error)
        self._release()

    def _release(self) -> None:
        self._wire.released(self.number)
        if not self._agreed.done():
            self._agreed.set_result(None)

    def _end(self, error: BusError) -> None:
        if self._error is not None:
            return
        self._error = error
        self._deadlines.stop()
        self._let_go()
        self._wire.gate.clear(Obstacle.FLOW, self.number)
        for settlement in self._confirms.fail(_as_publishers_see(error)):
            settlement.finish()
        while self._replies:
            _, future = self._replies.popleft()
            if not future.done():
                future.set_exception(error)
        self._end_consumer(error)

    def _let_go(self) -> None:
        self._on_deliveries = None
        if self._in_hand is not None:
            self._wire.hold(-self._in_hand.dropped())
            self._in_hand = None

    def _end_consumer(self, error: BusError) -> None:
        if not self._ended.done():
            self._ended.set_exception(error)
            self._ended.exception()  # looked at: whoever waits is told all the same


def _as_publishers_see(error: BusError) -> BusError:
    if isinstance(error, AmqpChannelClosedError) and error.code == PRECONDITION_FAILED:
        return UnsendableMessageError(f"the broker refuses the message: {error}")
    return error
