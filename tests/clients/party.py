"""Makes clients of the suite's gateways for one test, and ends them after it."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import Any

from staging.suite import Suite

from clients.js_sdk import GetToken, Node
from clients.python_sdk import PythonClient
from clients.raw import RawClient
from clients.sdk import SdkClient


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
        **token: Any,
    ) -> SdkClient:
        """Make a client of an SDK ("python" or "js") for a user, not yet connected.

        ``gateway`` is a number or a URL; ``text`` a token's text; ``token`` is for ``Suite.token``.
        """
        url = gateway if isinstance(gateway, str) else self._suite.gateway_urls[gateway]
        if not text and get_token is None:
            text = self._suite.token(user, **token)
        if sdk == "js":
            if self._node is None:
                self._node = await Node.start(self._node_modules)
                self._ends.push_async_callback(self._node.close)
            return await self._node.open(url, token=text, get_token=get_token)
        client = PythonClient(url, token=text, get_token=get_token)
        self._ends.push_async_callback(client.close)
        return client

    def raw(self, gateway: int = 0, **options: Any) -> AbstractAsyncContextManager[RawClient]:
        """Open a bare WebSocket."""
        return RawClient.open(self._suite.gateway_urls[gateway], **options)
