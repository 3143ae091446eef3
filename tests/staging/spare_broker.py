"""A broker node of some tests' own, to be broken as no node should be that others use."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from staging.broker import RunBroker, private_broker, purge, until_registered
from staging.stage import Stage
from staging.suite import START_SECONDS, running_broker
from warren_dev.supervisor import Supervisor
from warren_shared.contracts.namespaces import Namespaces
from warren_shared.runtime.topology_command import apply_topology
from warren_shared.topology.catalogue import DEFAULT_PARTITIONS, history_partition

_NODE: Final = "rabbitmq"


@dataclass(frozen=True, slots=True)
class SpareBroker:
    """A running node. Its methods may be awaited from any event loop."""

    stage: Stage
    broker: RunBroker
    supervisor: Supervisor
    folder: Path
    """The node's files."""

    @property
    def url(self) -> str:
        """Its virtual host, for its administrator."""
        return self.broker.administrator.secret()

    @asynccontextmanager
    async def killed(self) -> AsyncIterator[None]:
        """SIGKILL the node, and start it again after the block."""
        await self.stage.run(self.supervisor.kill9(_NODE))
        try:
            yield
        finally:
            await self.stage.run(self.supervisor.start(_NODE))
            await self.stage.run(self.supervisor.wait_ready(_NODE, deadline=START_SECONDS))

    async def prepare(self, namespaces: Namespaces) -> None:
        """Have Warren's topology there, with empty queues that outlive a kill."""
        await apply_topology(self.url, namespaces=namespaces)
        await purge(self.url)
        await until_registered(self.folder, map(history_partition, range(DEFAULT_PARTITIONS)))


@contextmanager
def running_spare_broker(stage: Stage, folder: Path) -> Iterator[SpareBroker]:
    """Run a spare node while the block does."""
    node = folder / "node"
    broker = private_broker(node)
    with stage.hold(lambda: running_broker(broker, folder)) as supervisor:
        assert supervisor is not None
        yield SpareBroker(stage, broker, supervisor, node)
