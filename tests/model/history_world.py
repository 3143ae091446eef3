"""History's real ingest, reads, removals and sweep over a real store file that can be lost or put back."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from warren_history.adapters.sqlite.connection import Synchronous
from warren_history.adapters.sqlite_store import SqliteOptions, SqliteStore
from warren_history.domain.reading import ReadLimits
from warren_history.handlers.ingest import Ingest, IngestOptions
from warren_history.handlers.patience import Patience
from warren_history.handlers.reads import Reads
from warren_history.handlers.removals import Removals
from warren_history.handlers.sweep import Sweep
from warren_history.metrics import Counts
from warren_shared.contracts.channels import routing_key_of
from warren_shared.contracts.history import Page, ReadRequest, Removed, RemoveRequest
from warren_shared.contracts.namespaces import Namespaces
from warren_shared.messaging.port import Delivery, Outgoing
from warren_shared.observability.tracing import Tracing


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.time = 1_700_000_000.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time


class Sent:
    """A publisher that keeps what it is given; the broker confirms all of it."""

    def __init__(self) -> None:
        self.messages: list[Outgoing] = []

    async def publish(self, message: Outgoing, *, deadline: float) -> None:
        await self.publish_all([message], deadline=deadline)

    async def publish_all(self, messages: Sequence[Outgoing], *, deadline: float) -> None:
        assert deadline > 0
        self.messages.extend(messages)

    def send(self, message: Outgoing) -> bool:
        self.messages.append(message)
        return True

    def taken(self) -> list[Delivery]:
        """Return, as what gateways get, all since the last call."""
        messages, self.messages = self.messages, []
        return [
            Delivery(each.exchange, each.routing_key, each.body, each.headers, each.message_id, type=each.type)
            for each in messages
        ]


class HistoryWorld:
    """History's part."""

    def __init__(self, folder: Path, names: Namespaces) -> None:
        self.clock, self._path, self._copy, self._names = Clock(), folder / "store", folder / "copy", names
        self._sent = Sent()

    async def start(self) -> None:
        """Start as a process does: on what is in the folder."""
        counts = Counts()
        self._store = await SqliteStore.open(self._path, SqliteOptions(synchronous=Synchronous.NORMAL))
        self._ingest = Ingest(
            self._store, self._sent, self._names, clock=self.clock, tracing=Tracing(None), counts=counts,
            options=IngestOptions(Patience(seconds=0), publish_deadline=5.0, drain=5.0),
        )  # fmt: skip
        limits = ReadLimits(publications=4, bytes=2**20)
        self._reads = Reads(self._store, self._names, limits=limits, clock=self.clock, counts=counts)
        self._removals = Removals(self._store, counts=counts)
        self._sweep = Sweep(self._store, interval=1.0, slice_size=3, clock=self.clock, counts=counts)

    async def stop(self) -> None:
        """Stop in good order."""
        await self._store.close()

    async def append(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        """Take a batch; return what the broker then has for the gateways."""
        await self._ingest.handler("history.0")(deliveries)
        return self._sent.taken()

    async def read(self, request: ReadRequest) -> Page:
        """Answer a read."""
        return Page.decode(await self._reads.handle(_asked("history.read", request.encode())))

    async def remove(self, channel: str) -> None:
        """Remove what is stored of a channel."""
        Removed.decode(await self._removals.handle(_asked("history.remove", RemoveRequest(channel=channel).encode())))

    async def sweep(self) -> None:
        """Remove what has expired."""
        await self._sweep.sweep()

    async def renew_epochs(self) -> None:
        """Do as ``warren-history renew-epochs`` does."""
        await self._store.renew_epochs()

    async def back_up(self) -> None:
        """Keep a copy of the store, made while nothing uses it."""
        await self.stop()
        shutil.copyfile(self._path, self._copy)
        await self.start()

    async def put_back(self) -> None:
        """Put the copy in the store's place; the mark stays."""
        await self.stop()
        self._unlink("-wal", "-shm")
        shutil.copyfile(self._copy, self._path)
        await self.start()

    async def lose(self) -> None:
        """Lose the disk."""
        await self.stop()
        self._unlink("", "-wal", "-shm", "-mark")
        await self.start()

    def _unlink(self, *suffixes: str) -> None:
        for suffix in suffixes:
            Path(f"{self._path}{suffix}").unlink(missing_ok=True)


def published(channel: str, text: str, message_id: str) -> Delivery:
    """Return a publication on its way to history."""
    return Delivery("warren.publish", routing_key_of(channel), text.encode(), message_id=message_id)


def _asked(key: str, body: bytes) -> Delivery:
    return Delivery("warren.rpc", key, body)


@asynccontextmanager
async def history_world(folder: Path, names: Namespaces) -> AsyncIterator[HistoryWorld]:
    """A history that runs while the block does."""
    world = HistoryWorld(folder, names)
    await world.start()
    try:
        yield world
    finally:
        await world.stop()
