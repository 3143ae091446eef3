"""The API over HTTP: ``POST /api/<method>`` with a JSON body and an API key.

Whatever a method answers, an error included, is status 200 and a JSON object with ``result`` or ``error``, as
clients of Centrifugo's server API expect it. Other statuses tell of requests that were not carried out.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from typing import Any, Final

import msgspec
import structlog
from aiohttp import web
from opentelemetry.trace import SpanKind

from warren_api.adapters.openapi import document
from warren_api.domain.api_keys import ApiKeys, given_key
from warren_api.domain.rejection import RejectionError
from warren_api.handlers.methods import Methods
from warren_api.metrics import Counts
from warren_shared.observability.bounded_log import BoundedLog
from warren_shared.observability.tracing import Tracing
from warren_shared.runtime.errors import StartupError

JSON: Final = "application/json"
_ROUTE: Final = "/api/{method}"
_ENCODER: Final = msgspec.json.Encoder()
_log = structlog.get_logger()


class HttpApi:
    """Serves the methods to whoever has a key."""

    def __init__(
        self,
        methods: Methods,
        keys: ApiKeys,
        counts: Counts,
        tracing: Tracing,
        monotonic: Callable[[], float],
        *,
        body_limit: int,
        concurrency: int,
    ) -> None:
        self._methods, self._keys, self._counts, self._tracing = methods, keys, counts, tracing
        self._monotonic, self._log = monotonic, BoundedLog(monotonic)
        self._body_limit, self._concurrency = body_limit, concurrency
        self._in_hand = 0
        self._openapi = _ENCODER.encode(document())

    def application(self) -> web.Application:
        """Return the application."""
        app = web.Application(client_max_size=self._body_limit)
        app.router.add_post("/api/batch", self._batch)
        app.router.add_post(_ROUTE, self._method)
        app.router.add_get("/openapi.json", self._get_openapi)
        return app

    @asynccontextmanager
    async def serving(self, host: str, port: int, *, shutdown_timeout: float) -> AsyncIterator[int]:
        """Listen while the block runs and yield the port. At the end what is in hand may finish.

        Raises StartupError if the port is taken.
        """
        runner = web.AppRunner(self.application(), access_log=None, shutdown_timeout=shutdown_timeout)
        await runner.setup()
        try:
            try:
                await web.TCPSite(runner, host, port).start()
            except OSError as error:
                raise StartupError(f"API port {host}:{port}: {error.strerror}") from error
            taken: int = runner.addresses[0][1]
            _log.info("api_listening", host=host, port=taken)
            yield taken
        finally:
            await runner.cleanup()

    async def _get_openapi(self, _: web.Request) -> web.Response:
        return web.Response(body=self._openapi, content_type=JSON)

    async def _method(self, request: web.Request) -> web.Response:
        name = request.match_info["method"]
        return await self._carry_out(request, name, self._reply_of(name))

    async def _batch(self, request: web.Request) -> web.Response:
        return await self._carry_out(request, "batch", self._methods.batch)

    def _reply_of(self, name: str) -> Callable[[bytes], Any]:
        async def reply(body: bytes) -> dict[str, Any]:
            return await self._methods.reply(name, body)

        return reply

    async def _carry_out(self, request: web.Request, name: str, reply: Callable[[bytes], Any]) -> web.Response:
        if not self._keys.accept(given_key(request.headers.get("X-API-Key"), request.headers.get("Authorization"))):
            return self._refuse(request, 401, "key", "no API key, or a wrong one")
        if self._in_hand >= self._concurrency:
            return self._refuse(request, 503, "busy", "too many requests in hand", {"Retry-After": "1"})
        self._in_hand += 1
        began = self._monotonic()
        try:
            return await self._answer(request, name, reply)
        finally:
            self._in_hand -= 1
            self._counts.seconds.observe(self._monotonic() - began)

    async def _answer(self, request: web.Request, name: str, reply: Callable[[bytes], Any]) -> web.Response:
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return self._refuse(request, 413, "too_large", f"more than {self._body_limit} bytes")
        if not _is_object(body):
            return self._refuse(request, 400, "unreadable", "the body is no JSON object")
        try:
            with self._span(request, name):
                answer = await reply(body)
        except RejectionError as rejection:
            return self._refuse(request, 400, "unreadable", str(rejection))
        return web.Response(body=_ENCODER.encode(answer), content_type=JSON)

    def _span(self, request: web.Request, name: str) -> AbstractContextManager[object]:
        parent = self._tracing.origin(request.headers)
        known = name if name == "batch" or name in self._methods.by_name else "unknown"
        if parent is None:
            return nullcontext()
        attributes = {"http.request.method": "POST", "http.route": _ROUTE, "warren.method": known}
        return self._tracing.span("POST", _ROUTE, kind=SpanKind.SERVER, parent=parent, attributes=attributes)

    def _refuse(
        self, request: web.Request, status: int, reason: str, told: str, headers: Mapping[str, str] | None = None
    ) -> web.Response:
        self._counts.refused[reason] += 1
        self._log.warning("request_refused", reason=reason, peer=request.remote)
        body = _ENCODER.encode({"error": {"code": status, "message": told}})
        return web.Response(status=status, body=body, content_type=JSON, headers=headers)


def _is_object(body: bytes) -> bool:
    try:
        return not body.strip() or isinstance(msgspec.json.decode(body, type=dict[str, msgspec.Raw]), dict)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return False
