"""The console's one wiring point."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import structlog
from aiohttp import web

from warren_console.adapters.dev_tokens import DevTokens
from warren_console.adapters.http import Guarding, Page, make_console
from warren_console.adapters.sdk_file import find_sdk
from warren_console.domain.hosts import is_loopback
from warren_console.domain.traces import StoreLimits, TraceStore
from warren_console.metrics import Counters, collector
from warren_console.settings import MIN_SECRET_BYTES, ConsoleSettings
from warren_shared.runtime.clock import Clock
from warren_shared.runtime.errors import StartupError
from warren_shared.runtime.service import Context

_log = structlog.get_logger()


@asynccontextmanager
async def build(context: Context, settings: ConsoleSettings) -> AsyncIterator[None]:
    """Serve the page and the trace store while the block runs. The broker is not used."""
    counters = Counters()
    store = TraceStore(StoreLimits(traces=settings.traces_kept, total_bytes=settings.trace_store_mib * 1024 * 1024))
    page = Page(
        sdk=find_sdk(settings.sdk_file, (Path.cwd(), Path(__file__).parent)),
        namespaces=lambda: context.namespaces.current,
        gateway_urls=settings.gateway_urls,
        dev_tokens=_dev_tokens(settings, context.clock, counters),
    )
    guarding = Guarding(hosts=settings.hosts, otlp_max_bytes=settings.otlp_max_bytes, counters=counters)
    context.ops.add_metrics(collector(store, counters))
    async with _serving(make_console(page, store, guarding), settings):
        yield


@asynccontextmanager
async def _serving(app: web.Application, settings: ConsoleSettings) -> AsyncIterator[None]:
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, settings.host, settings.port).start()
        except OSError as error:
            raise StartupError(f"console port {settings.host}:{settings.port}: {error.strerror}") from error
        _log.info("console_listening", host=settings.host, port=settings.port)
        yield
    finally:
        await runner.cleanup()


def _dev_tokens(settings: ConsoleSettings, clock: Clock, counters: Counters) -> DevTokens | None:
    secret = _secret(settings)
    if secret is None:
        return None
    _log.warning(
        "dev_tokens_offered",
        advice="whoever reaches this page may connect as any user: never outside development",
        host=settings.host,
        loopback_only=is_loopback(settings.host),
        hosts=sorted(settings.hosts),
    )
    return DevTokens(
        secret,
        ttl_seconds=settings.dev_token_ttl_seconds,
        audience=settings.dev_token_audience,
        clock=clock,
        counters=counters,
    )


def _secret(settings: ConsoleSettings) -> str | None:
    if not settings.offers_dev_tokens:
        return None
    if settings.dev_token_secret is not None:
        secret = settings.dev_token_secret.get_secret_value()
    else:
        path = settings.dev_token_secret_file or Path()
        try:
            secret = path.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise StartupError(f"WARREN_CONSOLE_DEV_TOKEN_SECRET_FILE: {error}") from error
    if len(secret.encode()) < MIN_SECRET_BYTES:
        raise StartupError(f"the secret of development tokens must have at least {MIN_SECRET_BYTES} bytes")
    return secret
