"""Puts the socket side together: the port for clients, the connections and their clock."""

from __future__ import annotations

import gc
import random
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from warren_gateway import emulation_metrics, socket_metrics
from warren_gateway.adapters.asking import Asking
from warren_gateway.adapters.connections import ConnectionLimits, Connections
from warren_gateway.adapters.emulation import QUEUE_LENGTH, Emulation
from warren_gateway.adapters.garbage import FullPasses
from warren_gateway.adapters.http import Door, HttpServer
from warren_gateway.bus_options import BusSideOptions
from warren_gateway.domain.rules import SessionRules
from warren_gateway.domain.session_rates import SessionRates
from warren_gateway.identity import GatewayIdentity
from warren_gateway.ports import Channels, Services
from warren_gateway.settings import GatewaySettings
from warren_gateway.socket_metrics import SocketCounters
from warren_shared.runtime.service import Context


@asynccontextmanager
async def socket_side(
    context: Context, settings: GatewaySettings, identity: GatewayIdentity, channels: Channels, services: Services
) -> AsyncIterator[tuple[HttpServer, Connections]]:
    """Serve clients while the block runs, then send them away. Raises StartupError."""
    counters = SocketCounters()
    connections = Connections(
        _rules(context, settings, identity),
        channels,
        Asking(services, context.tasks, context.clock),
        counters,
        _limits(settings),
        context.clock.monotonic,
    )
    server = HttpServer(_door(settings), connections, new_id, _emulation(context, settings, identity))
    context.ops.add_metrics(lambda: socket_metrics.readings(counters, lambda: len(connections)))
    context.ops.add_readiness("accepting", lambda: server.open)
    full_passes = FullPasses(lambda: counters.accepted - len(connections), lambda: len(connections), gc.collect)
    garbage = context.tasks.create_task(full_passes.keep_looking(), name="full garbage collections")
    time = context.tasks.create_task(connections.keep_time(), name="connection timers")
    try:
        async with server.serving():
            yield server, connections
            server.open = False
            await connections.send_away(settings.shutdown_window, settings.shutdown_timeout)
    finally:
        time.cancel()
        garbage.cancel()


def _emulation(context: Context, settings: GatewaySettings, identity: GatewayIdentity) -> Emulation | None:
    if not settings.http_transports:
        return None
    emulation = Emulation(
        identity.gateway,
        context.bus,
        _rates(settings),
        context.clock.monotonic,
        publish_deadline=settings.request_timeout,
        bind_deadline=BusSideOptions().bind_deadline,
    )
    context.bus.open_inbox(emulation, max_length=QUEUE_LENGTH)
    context.ops.add_metrics(lambda: emulation_metrics.readings(emulation.counts))
    return emulation


def _rates(settings: GatewaySettings) -> SessionRates:
    size = settings.emulation_byte_rate
    return SessionRates(settings.emulation_rate, max(size, settings.message_size_limit) if size else 0)


def new_id() -> str:
    """Return a string that nobody can guess and nothing else is called."""
    return str(uuid.uuid4())


def _rules(context: Context, settings: GatewaySettings, identity: GatewayIdentity) -> SessionRules:
    return SessionRules(
        node=identity.gateway,
        version=f"Warren {version('warren-gateway')}",
        namespaces=lambda: context.namespaces.current,
        new_id=new_id,
        random=random.random,
        ping_interval=settings.ping_interval,
        pong_timeout=settings.pong_timeout,
        stale_timeout=settings.stale_timeout,
        expired_close_delay=settings.expired_close_delay,
        expired_subscription_close_delay=settings.expired_subscription_close_delay,
        channel_limit=settings.channel_limit,
        channel_max_length=settings.channel_max_length,
        command_concurrency=settings.command_concurrency,
        history_limit=settings.history_max_publication_limit,
        client_messages=settings.client_messages,
        connection_events=settings.connection_events,
    )


def _limits(settings: GatewaySettings) -> ConnectionLimits:
    return ConnectionLimits(
        write_buffer=settings.write_buffer_limit,
        replies=settings.reply_buffer_limit,
        close_timeout=settings.close_timeout,
    )


def _door(settings: GatewaySettings) -> Door:
    return Door(
        host=settings.host,
        port=settings.port,
        websocket_path=settings.websocket_path,
        allowed_origins=settings.allowed_origins,
        message_limit=settings.message_size_limit,
        connection_limit=settings.connection_limit,
        connection_rate=settings.connection_rate,
        unidirectional=settings.unidirectional,
        compression=settings.compression,
    )
