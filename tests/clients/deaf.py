"""A client that subscribes and then never reads: nothing but a socket, so that no library reads for it."""

from __future__ import annotations

import asyncio
import json
import socket
from urllib.parse import urlsplit

_HANDSHAKE = (
    "GET /connection/websocket HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)

_SECONDS = 10.0


def _masked(text: str) -> bytes:
    """Return a text frame as a client sends it, under the mask 0 (RFC 6455 section 5.3)."""
    payload = text.encode()
    assert len(payload) < 65_536
    size = bytes([0x80 | len(payload)]) if len(payload) < 126 else bytes([0x80 | 126]) + len(payload).to_bytes(2)
    return b"\x81" + size + bytes(4) + payload


async def deaf_client(url: str, token: str, channel: str) -> socket.socket:
    """Return the socket of a client that subscribed and from now on reads nothing.

    Raises OSError or TimeoutError if it does not come that far.
    """
    parts = urlsplit(url)
    deaf = socket.socket()
    try:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.setblocking(False)
        async with asyncio.timeout(_SECONDS):
            await _subscribe(deaf, (parts.hostname or "", parts.port or 0), token, channel)
    except BaseException:
        deaf.close()
        raise
    return deaf


async def _subscribe(deaf: socket.socket, address: tuple[str, int], token: str, channel: str) -> None:
    loop = asyncio.get_running_loop()
    await loop.sock_connect(deaf, address)
    await loop.sock_sendall(deaf, _HANDSHAKE.format(host=f"{address[0]}:{address[1]}").encode())
    commands = [{"id": 1, "connect": {"token": token}}, {"id": 2, "subscribe": {"channel": channel}}]
    await loop.sock_sendall(deaf, _masked("\n".join(map(json.dumps, commands))))
    received = b""
    while b'"subscribe":{' not in received:
        chunk = await loop.sock_recv(deaf, 4096)
        if not chunk:
            raise ConnectionError(f"closed after {received!r}")
        received += chunk
