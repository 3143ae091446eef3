"""Puts history together: the only place that knows both ports and adapters."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from warren_history.adapters.postgres_store import PostgresOptions, PostgresStore
from warren_history.adapters.sqlite.connection import Synchronous
from warren_history.adapters.sqlite_store import SqliteOptions, SqliteStore
from warren_history.domain.reading import ReadLimits
from warren_history.domain.routes import NamespaceRoutes
from warren_history.handlers.ingest import Ingest, IngestOptions
from warren_history.handlers.patience import Patience
from warren_history.handlers.reads import Reads
from warren_history.handlers.removals import Removals
from warren_history.handlers.sweep import Sweep
from warren_history.metrics import Counts, store_readings
from warren_history.ports import Store, StoreUnusableError
from warren_history.settings import HistorySettings
from warren_shared.contracts.namespaces import Namespaces
from warren_shared.messaging.port import Delivery
from warren_shared.runtime.errors import StartupError
from warren_shared.runtime.service import Context
from warren_shared.topology.catalogue import QueueName, RpcKey, history_partition


@asynccontextmanager
async def build(context: Context, settings: HistorySettings) -> AsyncIterator[None]:
    """Set history up, let it run for the block's time, and drain it."""
    store = await open_store(settings)
    try:
        counts = Counts()
        ingest = _ingest(context, settings, store, counts)
        reads = _reads(context, settings, store, counts)
        _register(context, settings, ingest, reads, Removals(store, counts=counts))
        context.ops.add_metrics(counts.readings)
        context.ops.add_metrics(lambda: store_readings(store))
        context.ops.add_readiness("store", lambda: store.healthy)
        sweep = Sweep(
            store,
            interval=settings.sweep_seconds,
            slice_size=settings.sweep_slice,
            clock=context.clock,
            counts=counts,
        )
        sweeping = context.tasks.create_task(sweep.run(), name="sweep")
        try:
            yield
        finally:
            sweeping.cancel()
            await ingest.drain()
    finally:
        await store.close()


async def open_store(settings: HistorySettings) -> Store:
    """Open the store the settings name. Raises StartupError."""
    try:
        if settings.store_url:
            return await PostgresStore.open(settings.store_url.get_secret_value(), _postgres_options(settings))
        return await SqliteStore.open(settings.store_path, _sqlite_options(settings))
    except StoreUnusableError as error:
        raise StartupError(str(error)) from error


def _sqlite_options(settings: HistorySettings) -> SqliteOptions:
    return SqliteOptions(
        synchronous=Synchronous(settings.store_synchronous),
        idempotency_window=round(settings.idempotency_window_seconds * 1000),
        readers=settings.store_readers,
        deadline=settings.store_deadline_seconds,
    )


def _postgres_options(settings: HistorySettings) -> PostgresOptions:
    return PostgresOptions(
        flush=settings.store_synchronous == "full",
        idempotency_window=round(settings.idempotency_window_seconds * 1000),
        readers=settings.store_readers,
        deadline=settings.store_deadline_seconds,
    )


def _ingest(context: Context, settings: HistorySettings, store: Store, counts: Counts) -> Ingest:
    return Ingest(
        store,
        context.bus,
        context.namespaces.current,
        clock=context.clock,
        tracing=context.tracing,
        counts=counts,
        options=IngestOptions(
            patience=Patience(settings.hold_seconds),
            publish_deadline=settings.publish_deadline_seconds,
            drain=settings.drain_seconds,
            pack_deliveries=settings.pack_deliveries,
        ),
    )


def _reads(context: Context, settings: HistorySettings, store: Store, counts: Counts) -> Reads:
    limits = ReadLimits(settings.page_publications, settings.page_bytes)
    return Reads(store, context.namespaces.current, limits=limits, clock=context.clock, counts=counts)


def _register(context: Context, settings: HistorySettings, ingest: Ingest, reads: Reads, removals: Removals) -> None:
    bus, namespaces = context.bus, context.namespaces
    routes = NamespaceRoutes(namespaces.current)
    for index in range(settings.partitions):
        queue = history_partition(index)
        bus.consume(queue, ingest.handler(queue), max_batch=settings.max_batch, prefetch=settings.prefetch)

    async def answer(delivery: Delivery) -> bytes:
        # By the key and not by what the request says it is: the key is what the broker lets few use.
        wanted = removals if delivery.routing_key == RpcKey.HISTORY_REMOVE else reads
        return await wanted.handle(delivery)

    bus.serve(QueueName.HISTORY_READS, answer, concurrency=settings.read_concurrency)
    bind_again = bus.keep_bindings(routes.plan)

    def reload(current: Namespaces) -> None:
        # First what to do with publications, then their way here.
        ingest.use(current)
        reads.use(current)
        routes.use(current)
        bind_again()

    namespaces.subscribe(reload)
