"""The life of a service process: settings, logs, traces, health, bus, work, drain, end."""

from __future__ import annotations

import asyncio
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

import structlog

from warren_shared.messaging.amqp.bus import AmqpBus
from warren_shared.messaging.drivers import CONNECT
from warren_shared.messaging.port import Bus
from warren_shared.observability.logging import configure_logging
from warren_shared.observability.tracing import Tracing
from warren_shared.runtime.clock import Clock, SystemClock
from warren_shared.runtime.errors import CONFIG_EXIT_CODE, StartupError
from warren_shared.runtime.namespace_watcher import NamespaceWatcher
from warren_shared.runtime.ops import OpsServer
from warren_shared.runtime.settings import ServiceSettings, load_settings

STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Context:
    """What a service is given to build itself from."""

    bus: Bus
    """Register consumers on it before the builder yields; it runs from then on."""
    namespaces: NamespaceWatcher
    clock: Clock
    tasks: asyncio.TaskGroup
    """For the service's long tasks; cancelled after the builder's exit part ran."""
    ops: OpsServer
    tracing: Tracing


S = TypeVar("S", bound=ServiceSettings)
Build = Callable[[Context, S], AbstractAsyncContextManager[None]]


def run(name: str, settings_type: type[S], build: Build[S], *, uses_bus: bool = True) -> int:
    """Run a service until SIGTERM or SIGINT and return its exit code.

    ``build`` is an async context manager: before its yield it sets the service up, after it it
    drains, with the bus still running. A StartupError is printed as one line, with exit code 78.
    """
    try:
        settings = load_settings(settings_type)
        configure_logging(name, level=settings.log_level, log_format=settings.log_format)
        asyncio.run(_serve(name, settings, build, uses_bus=uses_bus))
    except* StartupError as errors:
        sys.stderr.write(f"warren-{name}: {_first(errors)}\n")
        exit_code = CONFIG_EXIT_CODE
    else:
        exit_code = 0
    return exit_code


def _first(group: BaseExceptionGroup[StartupError]) -> StartupError:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


async def _serve(name: str, settings: S, build: Build[S], *, uses_bus: bool) -> None:
    tracing = Tracing.from_environment(f"warren-{name}", secrets.token_hex(4))
    bus = AmqpBus(
        CONNECT[settings.broker_driver],
        settings.amqp_url.get_secret_value(),
        service=name,
        heartbeat=settings.heartbeat_seconds,
        tracing=tracing,
    )
    ops = OpsServer(settings.ops_host, settings.ops_port)
    namespaces = NamespaceWatcher(settings.namespaces_file)
    ops.add_metrics(namespaces.readings)
    if uses_bus:
        ops.add_metrics(bus.readings)
        ops.add_readiness("broker", lambda: bus.ready)
    stop = _stop_event()
    try:
        async with ops.serving(), _tasks() as tasks:
            context = Context(bus, namespaces, SystemClock(), tasks, ops, tracing)
            tasks.create_task(namespaces.watch(), name="namespace watch")
            async with build(context, settings):
                if uses_bus:
                    tasks.create_task(bus.run(), name="bus")
                asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, namespaces.reload)
                _log.info("service_started")
                await stop.wait()
                _log.info("service_draining")
        _log.info("service_stopped")
    finally:
        await asyncio.to_thread(tracing.shutdown)


def _stop_event() -> asyncio.Event:
    stop = asyncio.Event()
    for number in STOP_SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


class _DoneError(Exception):
    """Ends the tasks of a service that has drained."""


@asynccontextmanager
async def _tasks() -> AsyncIterator[asyncio.TaskGroup]:
    """A task group that cancels what still runs when its block ends."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
            raise _DoneError
    except* _DoneError:
        pass
