"""Wires the gateway: the bus side, and the socket side on top of it."""

from __future__ import annotations

import resource
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import structlog

from warren_gateway.adapters.connections import Connections
from warren_gateway.adapters.garbage import leave_old_objects_alone
from warren_gateway.bus_options import BusSideOptions
from warren_gateway.bus_side import bus_side
from warren_gateway.control_side import take_orders
from warren_gateway.identity import GatewayIdentity
from warren_gateway.settings import GatewaySettings
from warren_gateway.socket_side import socket_side
from warren_shared.runtime.service import Context

_FEW_FILES: Final = 10_000
_log = structlog.get_logger()


@asynccontextmanager
async def build(context: Context, settings: GatewaySettings) -> AsyncIterator[None]:
    """Run a gateway while the block runs. Raises StartupError."""
    raise_file_limit()
    identity = GatewayIdentity(settings.gateway_id, secrets.token_hex(8), context.clock.now())
    options = _bus_side_options(settings)
    here: list[Connections] = []

    def count_clients() -> tuple[int, int]:
        return sum(map(len, here)), sum(each.users for each in here)

    async with (
        bus_side(context, options, identity, count_clients) as (channels, services, dead_letters),
        socket_side(context, settings, identity, channels, services) as (server, connections),
    ):
        here.append(connections)
        take_orders(context, connections.rules, connections, dead_letters, bind_deadline=options.bind_deadline)
        leave_old_objects_alone()
        _log.info("clients_awaited", gateway=identity.gateway, host=settings.host, port=server.port)
        yield


def _bus_side_options(settings: GatewaySettings) -> BusSideOptions:
    return BusSideOptions(
        inbox_length=settings.inbox_length,
        unbind_grace=settings.unbind_grace,
        namespace_binding_threshold=settings.namespace_binding_threshold,
        recovery_limit=settings.recovery_max_publication_limit,
        position_check_interval=settings.position_check_interval,
        history_deadline=settings.request_timeout,
        auth_deadline=settings.request_timeout,
        presence_deadline=settings.request_timeout,
        publish_deadline=settings.publish_timeout,
        rpc_deadline=settings.rpc_timeout,
    )


def raise_file_limit() -> None:
    """Let this process open as many files as it may: each connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard != resource.RLIM_INFINITY and hard < _FEW_FILES:
        _log.warning("open_files_limit_low", limit=hard)
