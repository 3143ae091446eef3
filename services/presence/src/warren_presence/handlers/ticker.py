"""The passing of time, and the snapshot requests that all partitions of the process share."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from warren_presence.domain.syncs import SyncRequest, Syncs
from warren_presence.handlers.worker import PartitionWorker
from warren_shared.contracts.presence import SnapshotRequest
from warren_shared.messaging.port import Outgoing, Publisher
from warren_shared.topology.catalogue import ControlKey, ExchangeName, gateway_control_key

TICK_SECONDS: Final = 0.25


class Ticker:
    """Ticks every partition, then sends what snapshot requests they want."""

    def __init__(self, workers: Sequence[PartitionWorker], syncs: Syncs, publisher: Publisher) -> None:
        self._workers, self._syncs, self._publisher = workers, syncs, publisher
        self.requests = 0
        """Snapshot requests sent."""

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            self.tick()
            await asyncio.sleep(TICK_SECONDS)

    def tick(self) -> None:
        """Tick once. A request that cannot be sent now is sent with a later tick."""
        for worker in self._workers:
            worker.tick()
        for request in self._syncs.take():
            if self._publisher.send(_snapshot_request(request)):
                self.requests += 1
            else:
                self._syncs.put_back(request)


def _snapshot_request(request: SyncRequest) -> Outgoing:
    key = ControlKey.ALL_PRESENCE if request.gateway is None else gateway_control_key(request.gateway)
    return Outgoing(ExchangeName.CONTROL, key, SnapshotRequest(sync=request.sync).encode())
