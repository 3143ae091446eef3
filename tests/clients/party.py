"""Makes clients of the suite's gateways for one test, and ends them after it."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from staging.suite import Suite

from clients.js_sdk import Node
from clients.python_sdk import PythonClient
from clients.raw import RawClient
from clients.sdk import GetToken, SdkClient

_OVER_HTTP: Final = ("http_stream", "sse")


def _http_url(url: str, path: str) -> str:
    """Return the address of another endpoint of the gateway with this one for WebSockets."""
    return urlsplit(url)._replace(scheme="http", path=path).geturl()


class Clients:
    """All the clients of one test."""

    def __init__(self, suite: Suite, node_modules: Path, ends: AsyncExitStack) -> None:
        self._suite, self._node_modules, self._ends = suite, node_modules, ends
        self._node: Node | None = None

    async def make(
        self,
        sdk: str,
        gateway: int | str,
        user: str,
        *,
        get_token: GetToken | None = None,
        text: str = "",
        emulation: int | None = None,
        **token: Any,
    ) -> SdkClient:
        """Make a client of an SDK for a user, not yet connected: "python", "js", "python protobuf" or "js protobuf",
        and by HTTP alone "js http_stream", "js http_stream protobuf" or "js sse".

        ``gateway`` is a number or a URL; ``text`` a token's text; ``emulation`` the gateway to which commands
        go over HTTP, if it is another one; ``token`` is for ``Suite.token``.
        """
        url = gateway if isinstance(gateway, str) else self._suite.gateway_urls[gateway]
        if not text and get_token is None:
            text = self._suite.token(user, **token)
        language, *words = sdk.split(" ")
        encoding = "protobuf" if "protobuf" in words else "json"
        if language == "js":
            if self._node is None:
                self._node = await Node.start(self._node_modules)
                self._ends.push_async_callback(self._node.close)
            transport = next((word for word in words if word in _OVER_HTTP), "websocket")
            commands = url if emulation is None else self._suite.gateway_urls[emulation]
            return await self._node.open(
                url if transport == "websocket" else _http_url(url, f"/connection/{transport}"),
                token=text,
                get_token=get_token,
                encoding=encoding,
                transport=transport,
                emulation=_http_url(commands, "/emulation"),
            )
        client = PythonClient(url, token=text, get_token=get_token, protobuf=encoding == "protobuf")
        self._ends.push_async_callback(client.close)
        return client

    def raw(self, gateway: int = 0, **options: Any) -> AbstractAsyncContextManager[RawClient]:
        """Open a bare WebSocket."""
        return RawClient.open(self._suite.gateway_urls[gateway], **options)
