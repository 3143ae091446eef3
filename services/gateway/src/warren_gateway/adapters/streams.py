"""The endpoints of clients that have HTTP alone: streams of replies, and requests with commands."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from http import HTTPStatus
from typing import Final

from aiohttp import hdrs, web

from warren_gateway.adapters.connections import Connections
from warren_gateway.adapters.emulation import Emulation, Outcome, read_json, read_protobuf
from warren_gateway.adapters.http_framing import (
    BARE_EVENTS,
    BARE_LINES,
    EVENT_STREAM,
    JSON_LINES,
    PROTOBUF_STREAM,
    HttpFraming,
    StreamKind,
)
from warren_gateway.adapters.http_link import HttpLink
from warren_gateway.adapters.sessions import Sessions
from warren_gateway.adapters.upgrade import OriginPolicy, take_over
from warren_shared.messaging.port import BINARY

HTTP_STREAM_PATH: Final = "/connection/http_stream"
SSE_PATH: Final = "/connection/sse"
EMULATION_PATH: Final = "/emulation"
UNI_HTTP_STREAM_PATH: Final = "/connection/uni_http_stream"
UNI_SSE_PATH: Final = "/connection/uni_sse"
_CONNECT: Final = "cf_connect"
"""Query of a stream that is asked for without a body, as browsers' EventSource does."""
_PREFLIGHT_SECONDS: Final = 300
_ENVELOPE_BYTES: Final = 1024
_STATUS: Final = {
    Outcome.NO_GATEWAY: HTTPStatus.NOT_FOUND,
    Outcome.FAILED: HTTPStatus.SERVICE_UNAVAILABLE,
}
"""Whatever else came of a message is answered alike: whether a session exists is told to nobody."""

_LIMITED: Final = "This session has sent more requests or bytes than it may within a second. Nothing was done.\n"


def body_limit(message_limit: int) -> int:
    """Return how long a body may be: JSON within a string of JSON has each of its quotes escaped."""
    return 2 * message_limit + _ENVELOPE_BYTES


class Streams:
    """Adds these endpoints to a server's."""

    def __init__(
        self,
        connections: Connections,
        emulation: Emulation | None,
        new_id: Callable[[], str],
        check: Callable[[web.Request], None],
        origins: OriginPolicy,
        *,
        message_limit: int,
        unidirectional: bool,
    ) -> None:
        """``emulation``: who takes commands; None: only unidirectional clients are let in. ``check`` raises
        what a request for a new connection is to be answered if it is not let in.
        """
        self._connections, self._emulation, self._new_id = connections, emulation, new_id
        self._check, self._origins, self._message_limit = check, origins, message_limit
        self._unidirectional = unidirectional

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Serve these endpoints."""
        if self._emulation is not None:
            sessions = self._emulation.sessions
            self._add(router, HTTP_STREAM_PATH, lambda request: self._http_stream(request, sessions))
            self._add(router, SSE_PATH, lambda request: self._open(request, EVENT_STREAM, sessions), get=True)
            self._add(router, EMULATION_PATH, partial(self._emulate, self._emulation))
        if self._unidirectional:
            self._add(router, UNI_HTTP_STREAM_PATH, lambda request: self._open(request, BARE_LINES, None))
            self._add(router, UNI_SSE_PATH, lambda request: self._open(request, BARE_EVENTS, None), get=True)

    def _add(
        self,
        router: web.UrlDispatcher,
        path: str,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
        *,
        get: bool = False,
    ) -> None:
        async def handle(request: web.Request) -> web.StreamResponse:
            return await handler(request)

        router.add_post(path, handle)
        if get:
            router.add_get(path, handle, allow_head=False)
        router.add_options(path, self._preflight)

    async def _http_stream(self, request: web.Request, sessions: Sessions[HttpLink]) -> web.StreamResponse:
        return await self._open(request, PROTOBUF_STREAM if _is_protobuf(request) else JSON_LINES, sessions)

    async def _open(
        self, request: web.Request, kind: StreamKind, sessions: Sessions[HttpLink] | None
    ) -> web.StreamResponse:
        """Begin a stream; without ``sessions`` for a unidirectional client."""
        if request.method == hdrs.METH_POST:
            message = await self._body(request)
        else:
            message = request.query.get(_CONNECT, "").encode(errors="replace")
        self._bound(message)
        self._check(request)
        taken = take_over(request)
        if taken is not None:
            framing = kind.chunked if request.version >= (1, 1) else kind.plain
            link = HttpLink(self._new_id(), taken[0], self._message_limit, self._connections, framing, sessions)
            link.open(self._head(request, framing), message, request.headers.get("traceparent"))
        return web.Response()  # which goes nowhere: the HTTP server has no transport any more

    async def _emulate(self, emulation: Emulation, request: web.Request) -> web.Response:
        self._admit(request)
        read = read_protobuf if _is_protobuf(request) else read_json
        try:
            emulated = read(await self._body(request))
        except ValueError as error:
            raise web.HTTPBadRequest(text=f"The body {error}.\n", headers=self._shared_with(request)) from error
        self._bound(emulated.message)
        outcome = await emulation.put(emulated)
        if outcome is Outcome.LIMITED:
            raise web.HTTPTooManyRequests(text=_LIMITED, headers={"Retry-After": "1", **self._shared_with(request)})
        return web.Response(status=_STATUS.get(outcome, HTTPStatus.NO_CONTENT), headers=self._shared_with(request))

    async def _preflight(self, request: web.Request) -> web.Response:
        """Answer a browser that asks whether a page on another host may send a request."""
        self._admit(request)
        headers = self._shared_with(request)
        headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = "GET, POST"
        headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_HEADERS, "")
        headers[hdrs.ACCESS_CONTROL_MAX_AGE] = str(_PREFLIGHT_SECONDS)
        return web.Response(status=HTTPStatus.NO_CONTENT, headers=headers)

    async def _body(self, request: web.Request) -> bytes:
        """Return the whole body, which has to come in time. Raises what to answer if it does not, or is too long."""
        try:
            async with asyncio.timeout(self._connections.rules.stale_timeout):
                return await request.read()
        except TimeoutError as error:
            raise web.HTTPRequestTimeout from error

    def _bound(self, message: bytes) -> None:
        if len(message) > self._message_limit:
            raise web.HTTPRequestEntityTooLarge(self._message_limit, len(message))

    def _admit(self, request: web.Request) -> None:
        if not self._origins.admits(request.headers.get(hdrs.ORIGIN), request.host):
            raise web.HTTPForbidden(text="This origin is not allowed.\n")

    def _head(self, request: web.Request, framing: HttpFraming) -> bytes:
        headers = {
            hdrs.CONTENT_TYPE: framing.content_type,
            hdrs.CACHE_CONTROL: "no-cache, no-store",
            "X-Accel-Buffering": "no",
            hdrs.CONNECTION: "close",
            **self._shared_with(request),
        }
        if framing.chunked:
            headers[hdrs.TRANSFER_ENCODING] = "chunked"
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"HTTP/1.1 200 OK\r\n{lines}\r\n".encode()

    def _shared_with(self, request: web.Request) -> dict[str, str]:
        """Return the headers that let a page read the answer (Fetch: CORS protocol); its origin was admitted."""
        origin = request.headers.get(hdrs.ORIGIN)
        if not origin:
            return {}
        return {
            hdrs.ACCESS_CONTROL_ALLOW_ORIGIN: origin,
            hdrs.ACCESS_CONTROL_ALLOW_CREDENTIALS: "true",
            hdrs.VARY: hdrs.ORIGIN,
        }


def _is_protobuf(request: web.Request) -> bool:
    # Not aiohttp's content_type: that takes a body of no type for bytes.
    return request.headers.get(hdrs.CONTENT_TYPE, "").partition(";")[0].strip().lower() == BINARY
