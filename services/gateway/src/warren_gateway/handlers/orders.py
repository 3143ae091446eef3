"""Carries out what backends order, a slice of clients a turn, one order after the other."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Final, assert_never, cast

import orjson
import structlog
from opentelemetry.trace import SpanKind
from opentelemetry.util.types import AttributeValue

from warren_gateway.domain.events import CloseRequested, Event, RefreshOrdered, SubscribeOrdered, UnsubscribeOrdered
from warren_gateway.ports import Clients, ControlledClient
from warren_shared.contracts.control import (
    MAX_ORDER_BYTES,
    ORDERS,
    DisconnectOrder,
    Order,
    RefreshOrder,
    SubscribeOrder,
    UnsubscribeOrder,
)
from warren_shared.contracts.envelope import ContractError, decode_one_of
from warren_shared.messaging.port import Delivery
from warren_shared.observability.bounded_log import BoundedLog
from warren_shared.observability.tracing import Tracing
from warren_shared.topology.catalogue import ExchangeName

MOST_WAITING: Final = 10_000
"""Orders that may wait here; what comes beyond them is dropped and counted."""
SLICE: Final = 100
"""Clients a turn. A user may have thousands of connections, and closing one takes tens of microseconds."""
UNKNOWN: Final = "unknown"
KINDS: Final = (*(order.type_name.removeprefix("control.") for order in ORDERS), UNKNOWN)
_CONTROL: Final = ExchangeName.CONTROL.value
_log = structlog.get_logger()


class Outcome(StrEnum):
    """What came of an order at this gateway."""

    CARRIED_OUT = "carried_out"
    NOBODY = "nobody"
    REJECTED = "rejected"
    DROPPED = "dropped"


class Orders:
    """Takes orders in the order of their arrival."""

    def __init__(
        self,
        clients: Clients,
        dead_letter: Callable[[Delivery, str], None],
        tracing: Tracing,
        *,
        check_channel: Callable[[str], str | None],
        defer: Callable[[Callable[[], None]], object],
        now: Callable[[], float],
        monotonic: Callable[[], float],
        most_waiting: int = MOST_WAITING,
    ) -> None:
        """``check_channel`` says what is wrong with a channel; ``now`` is Unix time."""
        self._clients, self._dead_letter, self._tracing = clients, dead_letter, tracing
        self._check_channel, self._defer, self._now = check_channel, defer, now
        self._most_waiting = most_waiting
        self._bounded = BoundedLog(monotonic)
        self._waiting: deque[tuple[Order, Delivery]] = deque()
        self._current: Iterator[ControlledClient] = iter(())
        self._event: Event | None = None
        self._working = False
        self.counts: Counter[tuple[str, Outcome]] = Counter()

    def take(self, delivery: Delivery) -> None:
        """Have an order carried out in a later turn; one that cannot be understood becomes a dead letter."""
        kind = delivery.routing_key.removeprefix("user.")
        kind = kind if kind in KINDS else UNKNOWN
        try:
            order = self._read(delivery)
        except ContractError as error:
            self.counts[kind, Outcome.REJECTED] += 1
            self._dead_letter(delivery, str(error))
            return
        if len(self._waiting) == self._most_waiting:
            self.counts[kind, Outcome.DROPPED] += 1
            self._bounded.error("order_dropped", command=kind)
            return
        self._waiting.append((order, delivery))
        if not self._working:
            self._working = True
            self._defer(self._work)

    def _read(self, delivery: Delivery) -> Order:
        if len(delivery.body) > MAX_ORDER_BYTES:
            raise ContractError(f"larger than {MAX_ORDER_BYTES} bytes")
        order = _decode(delivery.body)
        if delivery.routing_key != _key_of(order):
            # Else who may publish under one key alone could order everything.
            raise ContractError(f"{order.type_name} came under another key than {_key_of(order)}")
        if isinstance(order, SubscribeOrder | UnsubscribeOrder) and (wrong := self._check_channel(order.channel)):
            raise ContractError(f"{order.type_name}: {wrong}")
        return order

    def _work(self) -> None:
        for _ in range(SLICE):
            client = next(self._current, None)
            if client is not None:
                self._tell(client)
            elif self._waiting:
                self._begin(*self._waiting.popleft())
            else:
                self._working, self._event = False, None
                return
        self._defer(self._work)

    def _tell(self, client: ControlledClient) -> None:
        if self._event is None:
            return
        try:
            client.feed(self._event)
        except Exception:  # noqa: BLE001 - a mistake that one client meets must not keep the others
            _log.exception("order_crashed", client=client.client)

    def _begin(self, order: Order, delivery: Delivery) -> None:
        kind = _kind_of(order)
        found = self._find(order)
        self._current, self._event = iter(found), self._event_of(order)
        self.counts[kind, Outcome.CARRIED_OUT if found else Outcome.NOBODY] += 1
        self._trace(kind, delivery, len(found))
        if found:
            self._bounded.info("order_taken", command=kind, connections=len(found))

    def _find(self, order: Order) -> list[ControlledClient]:
        found = self._clients.find(order.user, order.client, order.session)
        spared = frozenset(order.whitelist if isinstance(order, DisconnectOrder) else ())
        return [each for each in found if each.client not in spared]

    def _event_of(self, order: Order) -> Event:
        match order:
            case DisconnectOrder():
                return CloseRequested(order.disconnect)
            case UnsubscribeOrder():
                return UnsubscribeOrdered(order.channel)
            case SubscribeOrder():
                return SubscribeOrdered(
                    order.channel,
                    None if order.info is None else orjson.dumps(order.info).decode(),
                    None if order.data is None else orjson.dumps(order.data),
                )
            case RefreshOrder():
                return self._refresh(order)
            case _:
                assert_never(order)

    def _refresh(self, order: RefreshOrder) -> RefreshOrdered:
        info = None if order.info is None else orjson.dumps(order.info).decode()
        if order.expired:
            return RefreshOrdered(expires=True, info=info)
        if order.expire_at is None:
            return RefreshOrdered(info=info)
        return RefreshOrdered(expires=True, ttl=order.expire_at - self._now(), info=info)

    def _trace(self, kind: str, delivery: Delivery, connections: int) -> None:
        parent = self._tracing.origin(delivery.headers)
        if parent is None:
            return
        attributes: dict[str, AttributeValue] = {
            "messaging.system": "rabbitmq",
            "messaging.operation.type": "process",
            "messaging.destination.name": _CONTROL,
            "warren.order": kind,
            "warren.connections": connections,
        }
        with self._tracing.span("process", _CONTROL, kind=SpanKind.CONSUMER, parent=parent, attributes=attributes):
            pass


def _decode(body: bytes) -> Order:
    return cast(Order, decode_one_of(body, *ORDERS))  # mypy sees only what they have in common


def _kind_of(order: Order) -> str:
    return order.type_name.removeprefix("control.")


def _key_of(order: Order) -> str:
    return f"user.{_kind_of(order)}"
