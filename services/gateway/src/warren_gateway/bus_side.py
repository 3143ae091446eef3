"""Wires the bus side of the gateway: what the socket side sees of it are two ports."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any, Final

from warren_gateway.adapters.backends import BackendCalls, event_of
from warren_gateway.adapters.inbox import GatewayInbox
from warren_gateway.adapters.services import BusServices
from warren_gateway.bus_metrics import BusMetrics
from warren_gateway.bus_options import BusSideOptions
from warren_gateway.domain.census import Census
from warren_gateway.handlers.channels import LocalChannels
from warren_gateway.handlers.counts import BusCounts
from warren_gateway.handlers.dead_letters import DeadLetters
from warren_gateway.handlers.delivery_spans import DeliverySpans
from warren_gateway.handlers.event_outbox import EventOutbox
from warren_gateway.handlers.loop_watch import watch_loop
from warren_gateway.handlers.presence import PresenceReporter
from warren_gateway.handlers.request_outcomes import RequestOutcomes
from warren_gateway.identity import GatewayIdentity
from warren_gateway.ports import Channels, Services
from warren_shared.runtime.service import Context

TICK_SECONDS: Final = 1.0


@asynccontextmanager
async def bus_side(
    context: Context, options: BusSideOptions, identity: GatewayIdentity, count_clients: Callable[[], tuple[int, int]]
) -> AsyncIterator[tuple[Channels, Services, DeadLetters]]:
    """Set the bus side up; it works once the bus runs. ``count_clients`` counts connections and their users.

    Leave the block when all connections are closed and before the bus stops: then presence is told
    the rest, and that this gateway is gone.
    """
    loop = asyncio.get_running_loop()
    counts = BusCounts()
    counts.know(context.namespaces.current)
    presence = PresenceReporter(context.bus, identity, options, census=lambda: _census(channels, count_clients))
    outcomes = RequestOutcomes(context.clock.monotonic)
    calls = BackendCalls(context.bus.open_calls(), context.tracing, options, outcomes)
    events = EventOutbox(context.bus, options, monotonic=context.clock.monotonic)
    services = BusServices(
        context.bus,
        context.tracing,
        options,
        outcomes,
        reported=presence.reported,
        call=calls,
        tell=lambda what: events.put(event_of(what, context.clock.now())),
    )
    dead_letters = DeadLetters(
        context.bus, counts, per_second=options.dead_letters_per_second, monotonic=context.clock.monotonic
    )
    channels = LocalChannels(
        context.namespaces.current,
        options=options,
        counts=counts,
        read_page=services.history,
        presence=presence,
        dead_letter=dead_letters,
        observer=DeliverySpans(context.tracing, counts.fanout_seconds),
        tracing=context.tracing,
        defer=loop.call_soon,
        spawn=context.tasks.create_task,
        monotonic=context.clock.monotonic,
        random=random.random,
    )
    inbox = GatewayInbox(identity.gateway, channels, presence, dead_letters, bind_deadline=options.bind_deadline)
    context.bus.open_inbox(inbox, max_length=options.inbox_length)
    context.namespaces.subscribe(counts.know)
    context.namespaces.subscribe(channels.use)
    context.ops.add_metrics(BusMetrics(counts, outcomes, channels, presence, events).collect)
    works: list[Coroutine[Any, Any, None]] = [
        channels.binder.run(),
        presence.run(),
        events.run(),
        _keep_ticking(channels),
        watch_loop(counts, context.clock.monotonic),
    ]
    for work in works:
        context.tasks.create_task(work)
    try:
        yield channels, services, dead_letters
    finally:
        await asyncio.gather(presence.drain(), events.drain())
        inbox.close()


def _census(channels: LocalChannels, count_clients: Callable[[], tuple[int, int]]) -> Census:
    clients, users = count_clients()
    followed, subscriptions = channels.size()
    return Census(version("warren-gateway"), clients, users, followed, subscriptions)


async def _keep_ticking(channels: LocalChannels) -> None:
    while True:
        await asyncio.sleep(TICK_SECONDS)
        channels.tick()
