"""What both official SDKs are asked to do in the tests."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from clients.events import EventLog

GetToken = Callable[[], Awaitable[str]]


class SdkError(Exception):
    """A call of the SDK failed with a code of the protocol."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code} {message}")
        self.code = code


@dataclass(frozen=True, slots=True)
class Member:
    """A ClientInfo."""

    client: str
    user: str
    conn_info: Any = None


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """The answer to a history call."""

    epoch: str
    offset: int
    publications: tuple[tuple[int, Any], ...]
    """(offset, data)."""


class SdkClient(Protocol):
    """A client of either SDK. Calls raise SdkError where the server answers with an error."""

    log: EventLog

    async def connect(self) -> None:
        """Begin to connect; the log tells the rest."""

    async def disconnect(self) -> None:
        """Disconnect; returns when the SDK says so."""

    async def subscribe(
        self,
        channel: str,
        *,
        recover: bool = False,
        get_token: GetToken | None = None,
        delta: bool = False,
        tags_filter: Mapping[str, Any] | None = None,
    ) -> None:
        """Begin to subscribe; the log tells the rest. With ``recover``, ask for what is there from the first time on,
        as the SDK has it: JS by ``since: {}``, Python by a ``get_state`` that knows no position. ``get_token`` makes
        the SDK subscribe with tokens, and is asked whenever it wants one. ``tags_filter`` is a FilterNode.
        """

    async def unsubscribe(self, channel: str) -> None:
        """Unsubscribe."""

    async def publish(self, channel: str, data: Any) -> None:
        """Publish and wait for the reply."""

    async def presence(self, channel: str) -> Mapping[str, Member]:
        """Ask who is in a channel, by client id."""

    async def presence_stats(self, channel: str) -> tuple[int, int]:
        """Ask how many (clients, users) are in a channel."""

    async def history(
        self, channel: str, *, limit: int = 0, since: tuple[int, str] | None = None, reverse: bool = False
    ) -> HistoryPage:
        """Read a channel's history. ``since`` is (offset, epoch)."""

    async def rpc(self, method: str, data: Any) -> Any:
        """Call a remote procedure."""


async def connected(client: SdkClient) -> SdkClient:
    """Connect and wait for it."""
    since = client.log.mark()
    await client.connect()
    await client.log.one("connected", since=since)
    return client


async def subscribed(client: SdkClient, *channels: str) -> SdkClient:
    """Subscribe to channels, one after the other, and wait for each."""
    for channel in channels:
        since = client.log.mark()
        await client.subscribe(channel)
        await client.log.one("subscribed", channel, since=since)
    return client
