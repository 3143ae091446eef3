"""Builds the API from its parts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from warren_api.adapters.bus_services import BusServices, Deadlines
from warren_api.adapters.heartbeats import QUEUE_LENGTH, Heartbeats
from warren_api.adapters.http import HttpApi
from warren_api.handlers.methods import Methods
from warren_api.metrics import Counts, collector
from warren_api.settings import ApiSettings, api_keys_of
from warren_shared.runtime.service import Context

_BIND_DEADLINE: Final = 10.0


@asynccontextmanager
async def build(context: Context, settings: ApiSettings) -> AsyncIterator[None]:
    """Serve while the block runs. Raises StartupError. Nothing is kept: any number of processes share the work."""
    keys = api_keys_of(settings)
    counts = Counts()
    heartbeats = Heartbeats(context.clock.monotonic, bind_deadline=_BIND_DEADLINE)
    services = BusServices(
        context.bus,
        context.tracing,
        Deadlines(settings.publish_timeout, settings.request_timeout),
        gateways=heartbeats.gateways,
        monotonic=context.clock.monotonic,
    )
    methods = Methods(services, lambda: context.namespaces.current, context.clock.now, counts)
    api = HttpApi(
        methods,
        keys,
        counts,
        context.tracing,
        context.clock.monotonic,
        body_limit=settings.body_limit,
        concurrency=settings.concurrency,
    )
    context.bus.open_inbox(heartbeats, max_length=QUEUE_LENGTH)
    context.ops.add_metrics(collector(counts, methods.by_name))
    async with api.serving(settings.host, settings.port, shutdown_timeout=settings.shutdown_timeout):
        yield
