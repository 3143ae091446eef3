"""Three RabbitMQ nodes on one machine that make one broker, to be killed one at a time."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from staging.broker import RunBroker
from staging.suite import START_SECONDS, Output
from warren_dev.broker import PREFERRED_PORTS, prepare_broker
from warren_dev.ledger import Ledger
from warren_dev.ports import any_free
from warren_dev.program import Program
from warren_dev.secret_files import write_private
from warren_dev.supervisor import Supervisor

_SIZE: Final = 3
_EPMD: Final = "epmd"
_COOKIE_BYTES: Final = 20


@dataclass(frozen=True, slots=True)
class Cluster:
    """The nodes, and the broker they make up together; its administrator speaks to the first."""

    broker: RunBroker
    ports: Mapping[str, int]
    """Where each node speaks AMQP."""

    async def leader(self, vhost: str, queue: str) -> str:
        """Return the node that leads a quorum queue."""
        described: dict[str, Any] = await self.broker.manage("GET", f"queues/{quote(vhost, safe='')}/{queue}")
        return str(described["leader"]).partition("@")[0]


def private_cluster(folder: Path) -> Cluster:
    """Return three nodes, not yet started, with their files in ``folder``."""
    names = [f"rabbitmq-{number}" for number in range(1, _SIZE + 1)]
    password, cookie, epmd_port = secrets.token_urlsafe(24), secrets.token_hex(_COOKIE_BYTES), any_free()
    programs: dict[str, Program] = {}
    ports: dict[str, int] = {}
    brokers: list[RunBroker] = []
    for name in names:
        node = folder / name
        node.mkdir(parents=True)
        write_private(node / "admin-password", password)
        own = {port: any_free() for port in PREFERRED_PORTS} | {_EPMD: epmd_port}
        private = prepare_broker(node, print, ports=own)
        write_private(node / "home" / ".erlang.cookie", cookie)
        (node / "conf.d" / "10-cluster.conf").write_text(_formation(names), "utf-8")
        *mapper, server = private.programs
        for one in mapper:  # all nodes share the first one's
            programs.setdefault(_EPMD, one)
        environment = {**server.environment, "RABBITMQ_NODENAME": f"{name}@localhost"}
        programs[name] = replace(server, name=name, environment=environment)
        ports[name] = own["amqp"]
        brokers.append(RunBroker(private.administrator, private.management_url, private.programs))
    return Cluster(replace(brokers[0], programs=tuple(programs.values())), ports)


@asynccontextmanager
async def running_cluster(cluster: Cluster, folder: Path) -> AsyncIterator[Supervisor]:
    """Run the nodes, the first one first; to be entered on the stage."""
    names = [program.name for program in cluster.broker.programs]
    async with Supervisor(Output(folder), Ledger(folder / "processes.json")) as supervisor:
        supervisor.add(*cluster.broker.programs)
        for name in names:
            await supervisor.start(name)
            await supervisor.wait_ready(name, deadline=2 * START_SECONDS)
        try:
            yield supervisor
        finally:  # its data is thrown away: no need to wait for its own end
            for name in reversed(names):
                await supervisor.kill9(name)


def _formation(names: list[str]) -> str:
    nodes = [f"cluster_formation.classic_config.nodes.{n} = {name}@localhost" for n, name in enumerate(names, 1)]
    return "\n".join(["cluster_formation.peer_discovery_backend = rabbit_peer_discovery_classic_config", *nodes, ""])
