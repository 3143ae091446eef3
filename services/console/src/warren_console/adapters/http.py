"""The console's HTTP application: the page with its assets, its configuration, and the parts added to it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from aiohttp import web

from warren_console.adapters.dev_tokens import DevTokens
from warren_console.adapters.otlp import OtlpReceiver
from warren_console.adapters.page_config import gateway_urls, origins, page_config
from warren_console.adapters.security import guard, host_check
from warren_console.adapters.trace_api import TraceApi
from warren_console.domain.traces import TraceStore
from warren_console.metrics import Counters
from warren_shared.contracts.namespaces import Namespaces

STATIC: Final = Path(__file__).parent.parent / "static"
OTLP_MAX_BYTES: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Page:
    """What the page is made of."""

    sdk: Path
    namespaces: Callable[[], Namespaces]
    gateway_urls: Sequence[str] = ()
    dev_tokens: DevTokens | None = None


@dataclass(frozen=True, slots=True)
class Guarding:
    """How requests are guarded."""

    hosts: Collection[str] = frozenset()
    otlp_max_bytes: int = OTLP_MAX_BYTES
    counters: Counters = field(default_factory=Counters)


def make_console(page: Page, store: TraceStore, guarding: Guarding) -> web.Application:
    """Return the whole application."""

    def connect(request: web.Request) -> list[str]:
        return origins(gateway_urls(page.gateway_urls, request))

    app = web.Application(
        client_max_size=guarding.otlp_max_bytes, middlewares=[host_check(guarding.hosts, guarding.counters)]
    )
    guard(app, hosts=guarding.hosts, connect=connect)
    _add_page(app, page)
    TraceApi(store).add_to(app)
    OtlpReceiver(store, guarding.counters).add_to(app)
    if page.dev_tokens is not None:
        page.dev_tokens.add_to(app)
    return app


def make_trace_receiver(store: TraceStore, counters: Counters | None = None) -> web.Application:
    """Return an application that only receives and shows traces: an oracle for tests, without a page."""
    app = web.Application(client_max_size=OTLP_MAX_BYTES)
    TraceApi(store).add_to(app)
    OtlpReceiver(store, counters or Counters()).add_to(app)
    return app


def _add_page(app: web.Application, page: Page) -> None:
    async def index(_: web.Request) -> web.FileResponse:
        return web.FileResponse(STATIC / "index.html")

    async def sdk(_: web.Request) -> web.FileResponse:
        return web.FileResponse(page.sdk)

    async def config(request: web.Request) -> web.Response:
        urls = gateway_urls(page.gateway_urls, request)
        return web.json_response(page_config(urls, page.namespaces(), dev_tokens=page.dev_tokens is not None))

    app.router.add_get("/", index)
    app.router.add_get("/sdk/centrifuge.js", sdk)
    app.router.add_get("/config.json", config)
    app.router.add_static("/static/", STATIC)
