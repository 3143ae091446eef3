"""Builds presence from its parts."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from warren_presence.domain.partition import Partition
from warren_presence.domain.syncs import Syncs
from warren_presence.handlers.ticker import Ticker
from warren_presence.handlers.worker import PartitionWorker
from warren_presence.metrics import collector
from warren_presence.settings import PresenceSettings
from warren_shared.runtime.service import Context
from warren_shared.topology.catalogue import presence_partition


@asynccontextmanager
async def build(context: Context, settings: PresenceSettings) -> AsyncIterator[None]:
    """Work on the partitions while the block runs.

    There is nothing to drain: what was not acked, whoever takes over handles, and the gateways tell it
    the rest.
    """
    process = secrets.token_hex(8)
    syncs = Syncs(process)
    workers = [_worker(context, settings, process, syncs, index) for index in range(settings.partitions)]
    ticker = Ticker(workers, syncs, context.bus)
    context.ops.add_metrics(collector(workers, ticker))
    context.tasks.create_task(ticker.run(), name="ticker")
    yield


def _worker(context: Context, settings: PresenceSettings, process: str, syncs: Syncs, index: int) -> PartitionWorker:
    partition = Partition(process, syncs, max_members=settings.max_members, max_held=settings.max_held_queries)
    worker = PartitionWorker(
        presence_partition(index),
        partition,
        context.bus,
        context.clock,
        context.tracing,
        lambda: context.namespaces.current,
    )
    context.bus.consume(worker.queue, worker.handle)
    return worker
