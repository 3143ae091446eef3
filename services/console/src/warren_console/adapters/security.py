"""What guards every answer of the console: the Host check and the security headers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Final

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from warren_console.adapters import otlp
from warren_console.domain.hosts import host_allowed
from warren_console.metrics import Counters

_HEADERS: Final = {
    "Server": "warren-console",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src {connect}; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_log = structlog.get_logger()


def guard(app: web.Application, *, hosts: Collection[str], connect: Callable[[web.Request], Sequence[str]]) -> None:
    """Set the headers on all answers of the application, errors included.

    ``connect`` names the origins the page may open WebSockets to.
    """

    async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
        sources = ["'self'", *connect(request)] if host_allowed(request.host, hosts) else ["'none'"]
        response.headers.update(_HEADERS)
        response.headers[hdrs.CACHE_CONTROL] = "no-cache" if isinstance(response, web.FileResponse) else "no-store"
        response.headers["Content-Security-Policy"] = _POLICY.format(connect=" ".join(sources))

    app.on_response_prepare.append(add_headers)


def host_check(hosts: Collection[str], counters: Counters) -> Middleware:
    """Return the middleware that refuses requests under foreign names.

    Exporters reach the OTLP receiver under whatever name the network gives the console; that route
    refuses browsers by itself.
    """

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path != otlp.PATH and not host_allowed(request.host, hosts):
            counters.hosts_refused += 1
            _log.warning("host_refused", host=request.host[:100], peer=request.remote)
            return web.Response(
                status=421, text="The console is not known under this name: see WARREN_CONSOLE_ALLOWED_HOSTS.\n"
            )
        return await handler(request)

    return check
