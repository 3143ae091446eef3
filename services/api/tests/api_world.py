"""An API that listens on loopback, and the services behind it as a test wants them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from warren_api.adapters.http import HttpApi
from warren_api.domain.api_keys import ApiKeys
from warren_api.domain.publications import Publication
from warren_api.domain.rejection import RejectionError
from warren_api.handlers.methods import Methods
from warren_api.metrics import Counts
from warren_shared.contracts.codes import Errors
from warren_shared.contracts.control import Order
from warren_shared.contracts.history import Page, ReadRequest
from warren_shared.contracts.namespaces import parse_namespaces
from warren_shared.contracts.presence import Heartbeat, Members, Stats
from warren_shared.observability.tracing import Tracing
from warren_shared.runtime.clock import SystemClock

KEY: Final = "a-key-for-the-tests"
OLD_KEY: Final = "a-key-that-is-going"
NAMESPACES: Final = parse_namespaces(
    """
without_namespace: {}
namespaces:
  - {name: chat, history_size: 10, history_ttl: 1m, presence: true}
  - {name: live}
  - {name: objects, publication_data_format: json_object}
  - {name: raw, publication_data_format: binary}
"""
)


@dataclass(slots=True)
class FakeServices:
    """Implements Services; notes what it is asked and answers what the test put here."""

    published: list[Publication] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    reads: list[ReadRequest] = field(default_factory=list)
    members: Members = field(default_factory=Members)
    page: Page = field(default_factory=lambda: Page(epoch="e", top=0))
    beats: list[Heartbeat] = field(default_factory=list)
    down: bool = False
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once something is being published."""
    under_way: int = 0
    most_under_way: int = 0

    def __post_init__(self) -> None:
        self.gate.set()

    async def publish(self, publication: Publication) -> None:
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        self.begun.set()
        try:
            await self.gate.wait()
            await asyncio.sleep(0)
        finally:
            self.under_way -= 1
        self._answer()
        self.published.append(publication)

    async def order(self, order: Order) -> None:
        self._answer()
        self.orders.append(order)

    async def presence(self, channel: str) -> Members:
        del channel
        self._answer()
        return self.members

    async def presence_stats(self, channel: str) -> Stats:
        del channel
        self._answer()
        return Stats(clients=2, users=1)

    async def history(self, request: ReadRequest) -> Page:
        self._answer()
        self.reads.append(request)
        return self.page

    async def remove_history(self, channel: str) -> None:
        self._answer()
        self.removed.append(channel)

    async def gateways(self) -> Sequence[Heartbeat]:
        self._answer()
        return self.beats

    def _answer(self) -> None:
        if self.down:
            raise RejectionError(Errors.INTERNAL)


@dataclass(slots=True)
class ApiWorld:
    """A running API and a client of it."""

    services: FakeServices
    counts: Counts
    url: str
    http: aiohttp.ClientSession

    async def post(self, method: str, body: bytes | str, **headers: str) -> tuple[int, Any]:
        """Post and return the status and the answer's document."""
        sent = {"X-API-Key": KEY, **{name.replace("_", "-"): value for name, value in headers.items()}}
        async with self.http.post(f"{self.url}/api/{method}", data=body, headers=sent) as answer:
            return answer.status, await answer.json()

    async def result(self, method: str, body: str) -> Any:
        """Return a method's result; fail the test for an error."""
        status, answer = await self.post(method, body)
        assert (status, list(answer)) == (200, ["result"]), answer
        return answer["result"]

    async def error(self, method: str, body: str) -> tuple[int, str]:
        """Return the code and message a method fails with."""
        status, answer = await self.post(method, body)
        assert (status, list(answer)) == (200, ["error"]), answer
        return answer["error"]["code"], answer["error"]["message"]


@asynccontextmanager
async def running_api(*, body_limit: int = 100_000, concurrency: int = 4) -> AsyncIterator[ApiWorld]:
    """Run an API on a free port."""
    services, counts, clock = FakeServices(), Counts(), SystemClock()
    methods = Methods(services, lambda: NAMESPACES, lambda: 1000.0, counts)
    api = HttpApi(
        methods, ApiKeys([KEY, OLD_KEY]), counts, Tracing(None), clock.monotonic,
        body_limit=body_limit, concurrency=concurrency,
    )  # fmt: skip
    async with (  # the client outlives the server, to see how that ends
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as http,
        api.serving("127.0.0.1", 0, shutdown_timeout=5) as port,
    ):
        yield ApiWorld(services, counts, f"http://127.0.0.1:{port}", http)
