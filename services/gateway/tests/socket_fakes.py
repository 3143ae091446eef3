"""Fakes of the bus side, and a gateway's port made of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from warren_gateway.adapters.asking import Asking
from warren_gateway.adapters.connections import ConnectionLimits, Connections
from warren_gateway.adapters.emulation import Emulation
from warren_gateway.adapters.http import Door, HttpServer
from warren_gateway.domain.publications import Publication
from warren_gateway.domain.rules import SessionRules
from warren_gateway.domain.session_rates import SessionRates
from warren_gateway.ports import (
    Call,
    CallResult,
    ClientEvent,
    ClientMessage,
    Publish,
    Subscribe,
    Subscribed,
    SubscribeDone,
    Subscriber,
)
from warren_gateway.socket_metrics import SocketCounters
from warren_gateway.socket_side import new_id
from warren_shared.contracts.auth import (
    Admitted,
    Allowed,
    ConnectRequest,
    Grant,
    GrantScope,
    Operation,
    RefreshRequest,
    Refused,
    SubRefreshRequest,
    SubscribeRequest,
)
from warren_shared.contracts.codes import ErrorCode
from warren_shared.contracts.history import Page, ReadRequest
from warren_shared.contracts.namespaces import parse_namespaces
from warren_shared.contracts.presence import Member, Members, Stats
from warren_shared.contracts.publication import Position
from warren_shared.messaging.port import BusError, Delivery, Outgoing, UnroutableError
from warren_shared.runtime.clock import SystemClock

NAMESPACES = parse_namespaces(
    """
    namespaces:
      - {name: live}
      - {name: chat, history_size: 10, history_ttl: 60s, force_recovery: true, presence: true, join_leave: true}
      - {name: objects, publication_data_format: json_object}
    """
)
EVERYTHING = tuple(
    Grant(scope=GrantScope.NAMESPACE, target=namespace, operations=frozenset(Operation)) for namespace in NAMESPACES
)


@dataclass
class FakeChannels:
    """Subscribes at once unless told to wait; publishes when told to."""

    subscribers: dict[str, dict[str, Subscriber]] = field(default_factory=dict)
    requests: list[Subscribe] = field(default_factory=list)
    answer: Subscribed | ErrorCode | None = None
    """In place of the usual answer."""
    waiting: list[tuple[Subscribe, Subscriber, SubscribeDone]] | None = None
    """Where subscriptions wait for ``admit``; None if they need not."""

    def subscribe(self, request: Subscribe, subscriber: Subscriber, done: SubscribeDone) -> None:
        self.requests.append(request)
        if self.waiting is not None:
            self.waiting.append((request, subscriber, done))
        else:
            self._admit(request, subscriber, done)

    def admit(self) -> None:
        """Answer the subscription that waits longest."""
        assert self.waiting
        self._admit(*self.waiting.pop(0))

    def _admit(self, request: Subscribe, subscriber: Subscriber, done: SubscribeDone) -> None:
        answer = self.answer or Subscribed(Position("e", 0) if request.positioned else None)
        if isinstance(answer, Subscribed):
            self.subscribers.setdefault(request.channel, {})[subscriber.client] = subscriber
        done(answer)

    def unsubscribe(self, channel: str, subscriber: Subscriber) -> None:
        self.subscribers.get(channel, {}).pop(subscriber.client, None)
        if self.waiting is not None:
            self.waiting = [waiter for waiter in self.waiting if waiter[1] is not subscriber]

    def num_subscribers(self, channel: str) -> int:
        return len(self.subscribers.get(channel, {}))

    def publish(self, channel: str, *payloads: bytes) -> None:
        """Write to all subscribers what the real fan-out would."""
        for subscriber in self.subscribers.get(channel, {}).values():
            head = subscriber.framing.encoding.head(channel)
            pushes = [head.publication(Publication(payload)) for payload in payloads]
            subscriber.write(subscriber.framing.pack(pushes))


@dataclass
class FakeServices:
    """Admits everyone to everything unless told otherwise; keeps what was asked."""

    channels: FakeChannels
    admitted: Admitted | Refused | Exception = field(default_factory=lambda: Admitted(user="alice", grants=EVERYTHING))
    refreshed: Admitted | Refused | Exception | None = None
    allowed: Allowed | Refused = field(default_factory=Allowed)
    published: list[Publish] = field(default_factory=list)
    connects: list[ConnectRequest] = field(default_factory=list)
    page: Page = field(default_factory=lambda: Page(epoch="e", top=0))
    failure: Exception | None = None
    told: list[ClientMessage | ClientEvent] = field(default_factory=list)
    gate: asyncio.Event | None = None
    """What publishes wait for."""

    async def connect(self, request: ConnectRequest) -> Admitted | Refused:
        self.connects.append(request)
        return _outcome(self.admitted)

    async def refresh(self, _request: RefreshRequest) -> Admitted | Refused:
        return _outcome(self.refreshed or self.admitted)

    async def subscribe(self, _request: SubscribeRequest) -> Allowed | Refused:
        return self.allowed

    async def sub_refresh(self, _request: SubRefreshRequest) -> Allowed | Refused:
        return self.allowed

    async def publish(self, publication: Publish) -> None:
        self.published.append(publication)
        if self.gate is not None:
            await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        self.channels.publish(publication.channel, publication.data)

    async def presence(self, channel: str) -> Members:
        if self.failure is not None:
            raise self.failure
        clients = self.channels.subscribers.get(channel, {})
        return Members(members=tuple(Member(client=client, user="alice", conn_info='{"a":1}') for client in clients))

    async def presence_stats(self, channel: str) -> Stats:
        return Stats(clients=self.channels.num_subscribers(channel), users=1)

    async def history(self, _request: ReadRequest) -> Page:
        return self.page

    def tell(self, what: ClientMessage | ClientEvent) -> None:
        self.told.append(what)

    async def rpc(self, call: Call) -> CallResult:
        if self.failure is not None:
            raise self.failure
        return CallResult(call.data)


def _outcome(answer: Admitted | Refused | Exception) -> Admitted | Refused:
    if isinstance(answer, Exception):
        raise answer
    return answer


@dataclass
class Others:
    """The bus to other gateways, each of which takes what it is sent."""

    gateways: dict[str, Emulation] = field(default_factory=dict)
    sent: list[Outgoing] = field(default_factory=list)
    failure: BusError | None = None

    async def publish(self, message: Outgoing, *, deadline: float) -> None:
        assert deadline > 0
        if self.failure is not None:
            raise self.failure
        self.sent.append(message)
        name = message.routing_key.removeprefix("emulation.")
        if name not in self.gateways:
            assert message.mandatory
            raise UnroutableError(name)
        delivery = Delivery(message.exchange, message.routing_key, message.body, message.headers)
        self.gateways[name].on_deliveries([delivery])

    async def publish_all(self, messages: Sequence[Outgoing], *, deadline: float) -> None:
        raise NotImplementedError

    def send(self, message: Outgoing) -> bool:
        raise NotImplementedError


@dataclass
class RunningGateway:
    """The socket side of a gateway with a fake bus side."""

    url: str
    server: HttpServer
    connections: Connections
    channels: FakeChannels
    services: FakeServices
    counters: SocketCounters
    emulation: Emulation
    others: Others

    @property
    def http(self) -> str:
        """Where requests go to."""
        return f"http://127.0.0.1:{self.server.port}"


@asynccontextmanager
async def running_gateway(
    *,
    door: Door | None = None,
    rules: dict[str, float] | None = None,
    limits: ConnectionLimits | None = None,
    name: str = "test-gateway",
    others: Others | None = None,
    rates: SessionRates | None = None,
    rates_now: Callable[[], float] = lambda: 0.0,
) -> AsyncIterator[RunningGateway]:
    """Serve on a free port of the loopback interface; no connection is left when it ends."""
    channels = FakeChannels()
    services, counters, clock = FakeServices(channels), SocketCounters(), SystemClock()
    session_rules = SessionRules(name, "Warren 0", lambda: NAMESPACES, new_id, lambda: 0.0, **(rules or {}))  # type: ignore[arg-type]  # limits and times alike
    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        asking = Asking(services, tasks, clock)
        connections = Connections(
            session_rules, channels, asking, counters, limits or ConnectionLimits(), clock.monotonic
        )
        others = others or Others()
        emulation = others.gateways[name] = Emulation(
            name,
            others,
            SessionRates(0, 0) if rates is None else rates,
            rates_now,
            publish_deadline=5,
            bind_deadline=5,
        )
        server = HttpServer(door or loopback(), connections, new_id, emulation)
        timers = tasks.create_task(connections.keep_time())
        async with server.serving():
            url = f"ws://127.0.0.1:{server.port}/connection/websocket"
            yield RunningGateway(url, server, connections, channels, services, counters, emulation, others)
            await connections.send_away(0, 2)
        timers.cancel()


def loopback(
    *, port: int = 0, allowed_origins: tuple[str, ...] = (), message_limit: int = 65_536, connection_limit: int = 0
) -> Door:
    """Return a door on the loopback interface."""
    return Door("127.0.0.1", port, "/connection/websocket", allowed_origins, message_limit, connection_limit)
