"""Everything that takes part in a run: the suite behind links that can be broken, followers and publishers."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from clients.events import EventLog
from clients.js_sdk import Node
from clients.python_sdk import PythonClient
from clients.sdk import SdkClient, connected, subscribed
from eventually import eventually
from proxy import Proxy, through
from staging.broker import RunBroker, private_broker, until_registered
from staging.cluster import Cluster, private_cluster, running_cluster
from staging.programs import GATEWAYS, websocket_url
from staging.stage import Stage
from staging.suite import Suite, running_broker, running_suite

from chaos.evidence import Diary, Entry, Subscribed
from chaos.followers import RawFollower, diary, follow_deafly
from chaos.lateness import Lateness
from chaos.layout import Layout
from chaos.load import BackendLoad, Book, publish_as_client
from chaos.plan import LEADER, NODE
from chaos.stores import Keeping, keeping
from warren_dev.ports import LOOPBACK
from warren_dev.supervisor import Supervisor
from warren_shared.topology.catalogue import DEFAULT_PARTITIONS, history_partition

WINDOWS: Final[Mapping[str, int]] = {
    **{f"room:{name}": 20_000 for name in ("a", "b")},
    **{f"feed:{name}": 20_000 for name in ("a", "b", "c")},
    "brief:a": 30,
}
"""The durable channels, and how many publications each keeps."""
LIVE: Final = ("live:a", "live:b")
CHANNELS: Final = (*WINDOWS, *LIVE)
NAMESPACES: Final = """
namespaces:
  - name: room
    history_size: 20000
    history_ttl: 1h
    force_recovery: true
    allow_subscribe_for_client: true
    allow_publish_for_client: true
    allow_history_for_client: true
  - name: feed
    history_size: 20000
    history_ttl: 1h
    force_recovery: true
    bind_namespace: true
    allow_subscribe_for_client: true
    allow_history_for_client: true
  - name: brief
    history_size: 30
    history_ttl: 1h
    force_recovery: true
    allow_subscribe_for_client: true
    allow_history_for_client: true
  - name: live
    allow_subscribe_for_client: true
"""
BACKENDS: Final = "backends to broker"
"""A link that is never broken, but leads to a node that lives."""
_EXTRA: Final = {"OTEL_TRACES_SAMPLER": "always_off", "WARREN_GATEWAY_RECOVERY_MAX_PUBLICATION_LIMIT": "20000"}
_SLOW_SECONDS: Final = 0.08
_STORM_AT_ONCE: Final = 100
_STORM_SECONDS: Final = 40.0
_STORM_MISSED: Final = 50
"""Publications that each client of a storm recovers."""
_BEGIN_SECONDS: Final = 30.0
_ALWAYS: Final = ((0.0, inf),)
"""Who reads too slowly is cut off, and misses live publications on the way."""


@dataclass(frozen=True, slots=True)
class Follower:
    """Somebody who follows all channels."""

    name: str
    gateway: str
    log: EventLog
    slow: bool = False
    """Whether it reads slower than is published."""


@dataclass(slots=True)
class Town:
    """A running suite, and everybody around it."""

    suite: Suite
    links: Mapping[str, Proxy]
    group: asyncio.TaskGroup
    chance: random.Random
    storm_size: int
    layout: Layout
    keeping: Keeping
    cluster: Cluster | None = None
    book: Book = field(default_factory=Book)
    followers: list[Follower] = field(default_factory=list)
    visitors: list[Diary] = field(default_factory=list)
    """What the clients of storms saw."""
    lateness: Lateness = field(default_factory=Lateness)
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    publishers: list[asyncio.Task[None]] = field(default_factory=list)
    _slow: list[RawFollower] = field(default_factory=list)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def url(self, gateway: str) -> str:
        """Return where clients reach a gateway, over a link that can be broken."""
        return websocket_url(self.links[f"clients to {gateway}"].port)

    async def gather(self, node: Node, ends: AsyncExitStack) -> None:
        """Have everybody subscribed to everything."""
        self._spawn(self.lateness.watch())
        for gateway in GATEWAYS:
            python = PythonClient(self.url(gateway), token=self.suite.token(f"python-{gateway}"))
            ends.push_async_callback(python.close)
            await self._sdk(f"python at {gateway}", gateway, python)
            js = await node.open(self.url(gateway), token=self.suite.token(f"js-{gateway}"))
            await self._sdk(f"js at {gateway}", gateway, js)
            self._raw(f"raw at {gateway}", gateway)
            self._raw(f"slow at {gateway}", gateway, slow=True)
            token = self.suite.token(f"deaf-{gateway}")
            self._spawn(follow_deafly(self.url(gateway), token, "feed:a"))
        await eventually(self._all_subscribed, deadline=_BEGIN_SECONDS, what="everybody is subscribed")

    def publish(self, clients: Sequence[SdkClient]) -> None:
        """Begin to publish."""
        rooms, feeds, briefs = ([each for each in WINDOWS if each.startswith(name)] for name in ("room", "feed", "br"))
        loads = [
            self._load("steady", [*rooms, *feeds]),
            self._load("bursts", feeds, sizes=(20, 60), pause=1.0),
            self._load("brief", briefs, sizes=(1, 4), pause=0.3),
            self._load("hasty", [*rooms, *briefs], pause=0.5, patient=False),
            *(self._load(each, [each], sizes=(1, 1), patient=False) for each in LIVE),
        ]
        self.publishers = [self.group.create_task(load.run(self.stop), name=load.name) for load in loads]
        for number, client in enumerate(clients):
            name = f"client-{number}"
            publishing = publish_as_client(client, name, rooms, self.book, self._own_chance(), self.stop)
            self.publishers.append(self.group.create_task(publishing, name=name))

    def hurry(self) -> None:
        """Let nobody read slowly any more."""
        for follower in self._slow:
            follower.reading_pause = 0.0

    async def storm(self, link: str) -> None:
        """Have many clients connect at the same time, and recover."""
        gateway = link.removeprefix("clients to ")
        channel = self.chance.choice([each for each in WINDOWS if not each.startswith("brief")])
        epoch, offset = self._position(channel)
        start = max(0, offset - _STORM_MISSED)
        token = self.suite.token("storm")
        room = asyncio.Semaphore(_STORM_AT_ONCE)

        async def visit(number: int) -> None:
            visitor = RawFollower(self.url(gateway), token, [channel], positions={channel: (epoch, start)})
            async with room:
                running = asyncio.create_task(visitor.run())
                try:
                    await visitor.log.until("subscribed", channel, deadline=_STORM_SECONDS)
                finally:
                    running.cancel()
            first: list[Entry] = [Subscribed(0.0, epoch, start)]
            self.visitors.append(
                diary(f"visitor {number} at {gateway}", channel, visitor.log, first=first, to_the_end=False)
            )

        async with asyncio.TaskGroup() as group:
            for number in range(self.storm_size):
                group.create_task(visit(number))

    async def resolve(self, target: str) -> str:
        """Return which process a target of the plan is; if a node of a cluster, lead nobody there any more."""
        if self.cluster is None or target not in (NODE, LEADER):
            return target
        queue = history_partition(self.chance.randrange(DEFAULT_PARTITIONS))
        vhost = self.suite.host.administrator.vhost
        leader = await self.cluster.leader(vhost, queue)
        node = leader if target == LEADER else self.chance.choice(sorted(self.cluster.ports))
        others = [name for name in self.cluster.ports if name != node]
        for link in (*self.layout.to_broker, BACKENDS):
            self.links[link].lead_to(LOOPBACK, self.cluster.ports[self.chance.choice(others)])
        return node

    def diaries(self, disturbed: Mapping[str, Sequence[tuple[float, float]]]) -> list[Diary]:
        """Return what everybody saw."""
        return self.visitors + [
            diary(each.name, channel, each.log, disturbed=_ALWAYS if each.slow else disturbed[each.gateway])
            for each in self.followers
            for channel in CHANNELS
        ]

    async def leave(self) -> None:
        """Have everybody stop who would go on for ever."""
        self.stop.set()
        for task in [*self._tasks, *self.publishers]:
            task.cancel()

    def _all_subscribed(self) -> bool:
        return all({each.channel for each in one.log.all("subscribed")} == set(CHANNELS) for one in self.followers)

    async def _sdk(self, name: str, gateway: str, client: SdkClient) -> None:
        await subscribed(await connected(client), *CHANNELS)
        self.followers.append(Follower(name, gateway, client.log))

    def _raw(self, name: str, gateway: str, *, slow: bool = False) -> None:
        follower = RawFollower(self.url(gateway), self.suite.token(name.replace(" ", "-")), CHANNELS)
        self.followers.append(Follower(name, gateway, follower.log, slow))
        if slow:
            follower.reading_pause = _SLOW_SECONDS
            self._slow.append(follower)
        self._spawn(follower.run())

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        self._tasks.append(self.group.create_task(work))

    def _load(self, name: str, channels: Sequence[str], **options: Any) -> BackendLoad:
        url = through(self.suite.backend_url, self.links[BACKENDS])
        return BackendLoad(name, url, channels, self.book, self._own_chance(), **options)

    def _own_chance(self) -> random.Random:
        return random.Random(self.chance.random())  # noqa: S311 - to be repeated, not to be secret

    def _position(self, channel: str) -> tuple[str, int]:
        """Return the epoch, and the highest offset that anybody received."""
        log = self.followers[0].log
        epoch = log.all("subscribed", channel)[-1]["epoch"]
        return epoch, max((event["offset"] for event in log.all("publication", channel)), default=0)


@asynccontextmanager
async def standing(
    stage: Stage, folder: Path, chance: random.Random, storm_size: int, layout: Layout
) -> AsyncIterator[Town]:
    """Have a broker, a store and a suite run behind links that can be broken."""
    async with AsyncExitStack() as ends:
        nodes, broker, supervisor = await _broker(stage, folder, ends, cluster=layout.cluster)
        target = broker.administrator
        to_broker = (*layout.to_broker, BACKENDS)
        links = {each: await ends.enter_async_context(Proxy.to(target.host, target.port)) for each in to_broker}
        ports = {name.partition(" ")[0]: links[name].port for name in layout.to_broker}
        store = await ends.enter_async_context(keeping(stage, folder, layout))
        links |= store.links
        suite = await ends.enter_async_context(
            stage.holding(
                lambda: running_suite(
                    stage, broker, supervisor, folder / "suite",
                    extra=_EXTRA, own=store.environments, more=layout.histories[1:],
                    namespaces=NAMESPACES, broker_ports=ports,
                )
            )
        )  # fmt: skip
        if nodes is None:
            await until_registered(folder / "node", map(history_partition, range(DEFAULT_PARTITIONS)))
        for gateway, url in zip(GATEWAYS, suite.gateway_urls, strict=True):
            port = urlsplit(url).port or 0
            links[f"clients to {gateway}"] = await ends.enter_async_context(Proxy.to(LOOPBACK, port))
        async with asyncio.TaskGroup() as group:
            town = Town(suite, links, group, chance, storm_size, layout, store, nodes)
            try:
                yield town
            finally:
                await town.leave()


async def _broker(
    stage: Stage, folder: Path, ends: AsyncExitStack, *, cluster: bool
) -> tuple[Cluster | None, RunBroker, Supervisor | None]:
    if cluster:
        nodes = private_cluster(folder / "nodes")
        supervisor = await ends.enter_async_context(stage.holding(lambda: running_cluster(nodes, folder)))
        return nodes, nodes.broker, supervisor
    broker = private_broker(folder / "node")
    return None, broker, await ends.enter_async_context(stage.holding(lambda: running_broker(broker, folder)))
