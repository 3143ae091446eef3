"""The port clients connect to: WebSocket upgrades, streams over HTTP and /health."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from aiohttp import hdrs, web

from warren_gateway.adapters.connections import Connections
from warren_gateway.adapters.emulation import Emulation
from warren_gateway.adapters.framing import (
    BARE_FRAMING,
    DEFLATED_BARE_FRAMING,
    DEFLATED_JSON_FRAMING,
    DEFLATED_PROTOBUF_FRAMING,
    JSON_FRAMING,
    PROTOBUF_FRAMING,
)
from warren_gateway.adapters.streams import Streams, body_limit
from warren_gateway.adapters.upgrade import PROTOBUF_SUBPROTOCOL, OriginPolicy, take_over, upgrade
from warren_gateway.adapters.websocket import WebSocketLink
from warren_gateway.domain.token_bucket import TokenBucket
from warren_gateway.ports import Framing
from warren_shared.runtime.errors import StartupError

_BACKLOG: Final = 4096
"""Connections the kernel holds until they are accepted, for the minute after a restart."""
_FRAME_PINGS: Final = "cf_ws_frame_ping_pong"
"""Query of a client that answers no pings of the client protocol, such as wscat."""
UNI_WEBSOCKET_PATH: Final = "/connection/uni_websocket"
_FORMATS: Final = ("format", "cf_protocol")
"""Queries of a client that asks for Protobuf but cannot offer a subprotocol."""
_REQUEST_TIMEOUT: Final = 30.0
"""Seconds an HTTP connection may stay idle, or take to send its request."""
_LAST_ANSWERS: Final = 1.0
"""Seconds the end waits for answers that are being written."""


@dataclass(frozen=True, slots=True)
class Door:
    """What is let in, and where."""

    host: str
    port: int
    websocket_path: str
    allowed_origins: tuple[str, ...]
    message_limit: int
    connection_limit: int = 0
    """0: none."""
    connection_rate: int = 0
    """Per second; 0: no limit."""
    unidirectional: bool = True
    """Whether clients are let in that send nothing but what they connect with."""
    compression: bool = False
    """Whether WebSockets' messages may be compressed."""


class HttpServer:
    """Lets clients in while it serves."""

    def __init__(
        self, door: Door, connections: Connections, new_id: Callable[[], str], emulation: Emulation | None = None
    ) -> None:
        """``emulation``: who takes the commands of clients that have HTTP alone; None: there are no such clients."""
        self._emulation = emulation
        self._door, self._connections, self._new_id = door, connections, new_id
        self._origins = OriginPolicy(door.allowed_origins)
        self._rate = TokenBucket(door.connection_rate) if door.connection_rate else None
        self.open = True
        """Whether new connections are let in."""
        self.port = door.port
        """The port in force, once it serves."""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Listen while the block runs. Raises StartupError if that is not possible."""
        app = web.Application(client_max_size=body_limit(self._door.message_limit))
        app.router.add_get(self._door.websocket_path, self._websocket, allow_head=False)
        if self._door.unidirectional:
            app.router.add_get(UNI_WEBSOCKET_PATH, self._unidirectional_websocket, allow_head=False)
        app.router.add_get("/health", self._health)
        self._add_streams(app.router)
        runner = web.AppRunner(app, access_log=None, keepalive_timeout=_REQUEST_TIMEOUT, shutdown_timeout=_LAST_ANSWERS)
        await runner.setup()
        try:
            await self._listen(runner)
            yield
        finally:
            await runner.cleanup()

    def _add_streams(self, router: web.UrlDispatcher) -> None:
        Streams(
            self._connections,
            self._emulation,
            self._new_id,
            self._check,
            self._origins,
            message_limit=self._door.message_limit,
            unidirectional=self._door.unidirectional,
        ).add_to(router)

    async def _listen(self, runner: web.AppRunner) -> None:
        host, port = self._door.host, self._door.port
        try:
            await web.TCPSite(runner, host, port, backlog=_BACKLOG).start()
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            reason = "is in use; choose another with WARREN_GATEWAY_PORT" if taken else str(error.strerror or error)
            raise StartupError(f"port {host}:{port} {reason}") from error
        self.port = runner.addresses[0][1]

    async def _health(self, _: web.Request) -> web.Response:
        return web.json_response({}, status=200 if self.open else 503)

    async def _websocket(self, request: web.Request) -> web.StreamResponse:
        return await self._take_websocket(request, unidirectional=False)

    async def _unidirectional_websocket(self, request: web.Request) -> web.StreamResponse:
        return await self._take_websocket(request, unidirectional=True)

    async def _take_websocket(self, request: web.Request, *, unidirectional: bool) -> web.StreamResponse:
        self._check(request)
        response, subprotocol, compresses = await upgrade(request, may_compress=self._door.compression)
        taken = take_over(request)
        if taken is not None:
            transport, early = taken
            frame_pings = request.query.get(_FRAME_PINGS) == "true"
            link = WebSocketLink(
                self._new_id(),
                transport,
                self._door.message_limit,
                self._connections,
                _framing(request, subprotocol, unidirectional=unidirectional, compresses=compresses),
                frame_pings=frame_pings,
                unidirectional=unidirectional,
                compresses=compresses,
            )
            link.open(early, request.headers.get("traceparent"))
        return response

    def _check(self, request: web.Request) -> None:
        if not self.open:
            raise self._refused("draining", web.HTTPServiceUnavailable())
        if not self._origins.admits(request.headers.get(hdrs.ORIGIN), request.host):
            raise self._refused("origin", web.HTTPForbidden(text="This origin is not allowed.\n"))
        if self._door.connection_limit and len(self._connections) >= self._door.connection_limit:
            raise self._refused("limit", web.HTTPServiceUnavailable())
        if self._rate is not None and not self._rate.take(self._connections.monotonic()):
            raise self._refused("rate", web.HTTPServiceUnavailable())

    def _refused(self, reason: str, answer: web.HTTPException) -> web.HTTPException:
        self._connections.counters.refused[reason] += 1
        self._connections.log.connection_refused(reason)
        return answer


def _framing(request: web.Request, subprotocol: str, *, unidirectional: bool, compresses: bool) -> Framing:
    if unidirectional:
        return DEFLATED_BARE_FRAMING if compresses else BARE_FRAMING
    if subprotocol == PROTOBUF_SUBPROTOCOL or any(request.query.get(name) == "protobuf" for name in _FORMATS):
        return DEFLATED_PROTOBUF_FRAMING if compresses else PROTOBUF_FRAMING
    return DEFLATED_JSON_FRAMING if compresses else JSON_FRAMING
