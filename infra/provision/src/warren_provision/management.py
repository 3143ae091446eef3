"""RabbitMQ's management HTTP API, as far as Warren needs it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import quote

import aiohttp

from warren_shared.topology.definitions import Definitions

_TIMEOUT: Final = aiohttp.ClientTimeout(total=15, sock_connect=3)


class ManagementError(Exception):
    """The management API is out of reach or refused; the message is one line."""


class Management:
    """One administrator's access to one broker's management API.

    Every call waits for at most 15 s and raises ManagementError. All are idempotent.
    """

    def __init__(self, session: aiohttp.ClientSession, url: str, user: str) -> None:
        self._session, self._url, self._user = session, url.rstrip("/"), user

    @classmethod
    @asynccontextmanager
    async def connect(cls, url: str, user: str, password: str) -> AsyncIterator[Management]:
        """Open a client; nothing is asked yet."""
        headers = {"Authorization": aiohttp.encode_basic_auth(user, password)}
        async with aiohttp.ClientSession(headers=headers, timeout=_TIMEOUT) as session:
            yield cls(session, url, user)

    async def is_up(self) -> bool:
        """Whether the API answers and knows this user."""
        try:
            await self._call("GET", "whoami")
        except ManagementError:
            return False
        return True

    async def put_vhost(self, vhost: str) -> None:
        """Create a virtual host in which this user may do everything."""
        await self._call("PUT", f"vhosts/{quote(vhost, safe='')}", {})
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        await self._call("PUT", f"permissions/{quote(vhost, safe='')}/{quote(self._user, safe='')}", everything)

    async def delete_vhost(self, vhost: str) -> None:
        """Delete a virtual host with everything in it."""
        await self._call("DELETE", f"vhosts/{quote(vhost, safe='')}", ignored_status=404)

    async def import_definitions(self, definitions: Definitions) -> None:
        """Add and update what the definitions name."""
        await self._call("POST", "definitions", definitions)

    async def _call(self, method: str, path: str, body: Any = None, *, ignored_status: int = 0) -> None:
        try:
            async with self._session.request(method, f"{self._url}/api/{path}", json=body) as response:
                if response.status >= 400 and response.status != ignored_status:
                    detail = " ".join((await response.text()).split())[:200]
                    raise ManagementError(f"{method} {self._url}/api/{path}: HTTP {response.status} {detail}")
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise ManagementError(f"{method} {self._url}/api/{path}: {error or type(error).__name__}") from error
