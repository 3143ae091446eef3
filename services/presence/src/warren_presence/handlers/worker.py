"""One partition at work: deliveries in, effects out.

The partition is fed and ticked without an await in between, so its state is never seen half changed.
What it wants announced waits in the outbox, in its order, and a batch is acked when all of it is out.
Replies, probes and requests are sent at once and at most once: whoever misses one asks again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final, assert_never

import structlog
from opentelemetry.trace import SpanContext, SpanKind
from opentelemetry.util.types import AttributeValue

from warren_presence.domain.effects import Announce, Answer, Effect, Note, SendProbe, Turned
from warren_presence.domain.partition import Partition
from warren_presence.handlers.decoding import decode
from warren_presence.handlers.outbox import Outbox
from warren_shared.contracts.channels import routing_key_of
from warren_shared.contracts.envelope import ContractError
from warren_shared.contracts.namespaces import Namespaces
from warren_shared.contracts.occupancy import ChannelOccupied, ChannelVacated
from warren_shared.contracts.publication import DeliverType
from warren_shared.messaging.dead_letters import dead_letter
from warren_shared.messaging.port import NO_HEADERS, Delivery, Headers, Outgoing, Publisher
from warren_shared.observability.bounded_log import BoundedLog
from warren_shared.observability.tracing import Tracing
from warren_shared.runtime.clock import Clock
from warren_shared.topology.catalogue import EventKey, ExchangeName

SERVICE: Final = "presence"
_DEFAULT_EXCHANGE: Final = ""
"""Routes by queue name."""
_log = structlog.get_logger()


class PartitionWorker:
    """Handles the deliveries of one partition's queue; ``handle`` is a BatchHandler of the bus."""

    def __init__(
        self,
        queue: str,
        partition: Partition,
        publisher: Publisher,
        clock: Clock,
        tracing: Tracing,
        namespaces: Callable[[], Namespaces],
    ) -> None:
        self.queue, self.partition, self._namespaces = queue, partition, namespaces
        self.outbox = Outbox(publisher, queue)
        self._publisher, self._clock, self._tracing = publisher, clock, tracing
        self.announced: Counter[DeliverType] = Counter()
        self.told: Counter[EventKey] = Counter()
        self.dead_lettered = self.replies_dropped = 0
        self._last_tag = 0
        self._log = BoundedLog(clock.monotonic)

    async def handle(self, deliveries: Sequence[Delivery]) -> None:
        """Take deliveries in their order; return when what they caused is announced."""
        self._notice_reconnect(deliveries)
        for delivery in deliveries:
            parent = self._tracing.incoming(delivery.headers) if delivery.headers else None
            if parent is None:
                self._take(delivery, NO_HEADERS)
            else:
                self._take_traced(delivery, parent)
        await self.outbox.flush()

    def tick(self) -> None:
        """Take note of the time; to be called a few times a second."""
        self._carry_out(self.partition.tick(self._clock.monotonic()), NO_HEADERS)
        if not self.partition.active:
            self.outbox.clear()

    def _notice_reconnect(self, deliveries: Sequence[Delivery]) -> None:
        """Tell the partition of a new consumer, whose delivery tags count from 1 again (AMQP 0-9-1)."""
        if 0 < deliveries[0].tag <= self._last_tag:
            self._carry_out(self.partition.reconnected(self._clock.monotonic()), NO_HEADERS)
        self._last_tag = deliveries[-1].tag

    def _take_traced(self, delivery: Delivery, parent: SpanContext) -> None:
        attributes: dict[str, AttributeValue] = {
            "messaging.system": "rabbitmq",
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.destination.name": f"{delivery.exchange}:{delivery.routing_key}:{self.queue}",
            "messaging.rabbitmq.destination.routing_key": delivery.routing_key,
            "warren.partition": self.queue,
        }
        with self._tracing.span(
            "process", ExchangeName.PRESENCE, kind=SpanKind.CONSUMER, parent=parent, attributes=attributes
        ):
            self._take(delivery, self._tracing.outgoing())

    def _take(self, delivery: Delivery, trace: Headers) -> None:
        try:
            message = decode(delivery)
        except ContractError as error:
            self.dead_lettered += 1
            self._log.warning("delivery_dead_lettered", queue=self.queue, key=delivery.routing_key, reason=str(error))
            self.outbox.add(dead_letter(delivery, str(error), SERVICE))
            return
        self._carry_out(self.partition.feed(message, self._clock.monotonic()), trace)

    def _carry_out(self, effects: Iterable[Effect], trace: Headers) -> None:
        for effect in effects:
            match effect:
                case Announce():
                    self.announced[effect.type] += 1
                    self.outbox.add(_announcement(effect, trace))
                case Turned(channel, occupied):
                    self._tell(channel, occupied=occupied)
                case Answer():
                    self._reply(effect, trace)
                case SendProbe():
                    self._publisher.send(Outgoing(_DEFAULT_EXCHANGE, self.queue, effect.probe.encode()))
                case Note():
                    log = _log.warning if effect.alarming else _log.info
                    log(effect.event, queue=self.queue, **effect.fields)
                case _:
                    assert_never(effect)

    def _tell(self, channel: str, *, occupied: bool) -> None:
        options = self._namespaces().of_channel(channel)
        if options is None or not options.occupancy_events:
            return
        key = EventKey.CHANNEL_OCCUPIED if occupied else EventKey.CHANNEL_VACATED
        event = (ChannelOccupied if occupied else ChannelVacated)(channel=channel, at=int(self._clock.now() * 1000))
        self.told[key] += 1
        self.outbox.add(Outgoing(ExchangeName.EVENTS, key, event.encode()))

    def _reply(self, answer: Answer, trace: Headers) -> None:
        message = Outgoing(
            _DEFAULT_EXCHANGE,
            answer.reply_to,
            answer.body,
            headers=trace,
            correlation_id=answer.correlation_id,
        )
        if not self._publisher.send(message):
            self.replies_dropped += 1


def _announcement(announce: Announce, trace: Headers) -> Outgoing:
    return Outgoing(
        ExchangeName.DELIVER,
        routing_key_of(announce.channel),
        announce.info,
        headers=trace,
        type=announce.type.value,
    )
