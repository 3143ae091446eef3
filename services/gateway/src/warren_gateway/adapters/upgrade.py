"""The WebSocket handshake (RFC 6455 section 4), and taking the socket over from the HTTP server."""

from __future__ import annotations

import asyncio
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable
from hashlib import sha1
from typing import Final
from urllib.parse import urlsplit

from aiohttp import hdrs, web

from warren_gateway.adapters.deflate import accept

JSON_SUBPROTOCOL: Final = "centrifuge-json"
PROTOBUF_SUBPROTOCOL: Final = "centrifuge-protobuf"
_SUBPROTOCOLS: Final = (JSON_SUBPROTOCOL, PROTOBUF_SUBPROTOCOL)
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_VERSION: Final = "13"
_EXTENSIONS: Final = hdrs.SEC_WEBSOCKET_EXTENSIONS


class OriginPolicy:
    """Which pages may connect. The check guards browsers' users; other clients send what they like."""

    def __init__(self, allowed: Iterable[str]) -> None:
        """``allowed`` are origins; ``*`` in one stands for any text without a slash, alone for any origin."""
        patterns = [".*" if origin == "*" else re.escape(origin).replace(r"\*", "[^/]*") for origin in allowed]
        self._allowed = re.compile("|".join(patterns) or r"(?!)", re.IGNORECASE)

    def admits(self, origin: str | None, host: str) -> bool:
        """Whether a request may connect: without an origin, from the same host, or from an allowed one."""
        if not origin:
            return True
        try:
            same_host = urlsplit(origin).netloc.lower() == host.lower()
        except ValueError:
            same_host = False
        return same_host or self._allowed.fullmatch(origin) is not None


async def upgrade(request: web.Request, *, may_compress: bool) -> tuple[web.StreamResponse, str, bool]:
    """Complete the handshake; returns the subprotocol too, "" if the client offered none that is known here, and
    whether messages may be compressed (RFC 7692).

    Of several the client's first counts (RFC 6455 section 4.2.2). Raises HTTPBadRequest or
    HTTPUpgradeRequired if it is no handshake.
    """
    response = web.StreamResponse(status=101)
    response.headers[hdrs.UPGRADE] = "websocket"
    response.headers[hdrs.CONNECTION] = "Upgrade"
    response.headers[hdrs.SEC_WEBSOCKET_ACCEPT] = _accept(request)
    subprotocol = _subprotocol(request)
    if subprotocol:
        response.headers[hdrs.SEC_WEBSOCKET_PROTOCOL] = subprotocol
    compression = accept(",".join(request.headers.getall(_EXTENSIONS, ()))) if may_compress else None
    if compression is not None:
        response.headers[_EXTENSIONS] = compression
    await response.prepare(request)
    return response, subprotocol, compression is not None


def _subprotocol(request: web.Request) -> str:
    offered = ",".join(request.headers.getall(hdrs.SEC_WEBSOCKET_PROTOCOL, ())).split(",")
    return next((each for each in map(str.strip, offered) if each in _SUBPROTOCOLS), "")


def _accept(request: web.Request) -> str:
    headers = request.headers
    connection = (option.strip().lower() for option in headers.get(hdrs.CONNECTION, "").split(","))
    if headers.get(hdrs.UPGRADE, "").lower() != "websocket" or "upgrade" not in connection:
        raise web.HTTPUpgradeRequired(text="This is a WebSocket endpoint.\n", headers={hdrs.UPGRADE: "websocket"})
    if headers.get(hdrs.SEC_WEBSOCKET_VERSION) != _VERSION:
        wanted = {hdrs.SEC_WEBSOCKET_VERSION: _VERSION}
        raise web.HTTPUpgradeRequired(text="WebSocket version 13 is needed.\n", headers=wanted)
    key = headers.get(hdrs.SEC_WEBSOCKET_KEY, "")
    try:
        legal = len(b64decode(key, validate=True)) == 16
    except ValueError:
        legal = False
    if not legal:
        raise web.HTTPBadRequest(text="Sec-WebSocket-Key is not 16 bytes in base64.\n")
    return b64encode(sha1(key.encode() + _GUID, usedforsecurity=False).digest()).decode()


class _EarlyBytes:
    """A body parser, as the HTTP server sees it, that keeps what came behind the handshake."""

    def __init__(self) -> None:
        self.data = b""

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self.data += data
        return False, b""

    def feed_eof(self) -> None:
        """The connection is over as far as the HTTP server knows."""


def take_over(request: web.Request) -> tuple[asyncio.Transport, bytes] | None:
    """Detach an upgraded request's transport, and what was read from it already; None if it is gone.

    The HTTP server is told that the connection is lost, so that it releases all it holds for it: the
    request, its headers and parser and two tasks, most of what an idle connection costs.
    """
    protocol, transport = request.protocol, request.transport
    if transport is None or transport.is_closing():
        return None
    early = _EarlyBytes()
    protocol.set_parser(early)  # type: ignore[arg-type]  # only its feed_data and feed_eof are called
    protocol.transport = None
    protocol.connection_lost(None)
    return transport, early.data
