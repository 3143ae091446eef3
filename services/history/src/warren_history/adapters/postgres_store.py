"""The store in a PostgreSQL database, which any number of processes may share.

Each call is one statement, so one transaction and one way there and back. The server finishes it, whatever
becomes of the process that asked: one that is stopped in the middle holds no lock. Appends that wait while
another is under way go together in the next.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, TypeVar
from urllib.parse import urlsplit

from warren_history.adapters.postgres.appending import Append, NewEpoch, payload_bytes
from warren_history.adapters.postgres.clock import DATABASE_CLOCK, AgeClock
from warren_history.adapters.postgres.connections import Connections, Server, Work
from warren_history.adapters.postgres.failures import MISTAKES
from warren_history.adapters.postgres.reading import open_streams, read
from warren_history.adapters.postgres.removing import find_removal, remove_slice, renew_epochs
from warren_history.adapters.postgres.trials import begin_trial, end_trial
from warren_history.adapters.postgres.trimming import measure, trim
from warren_history.domain.publications import (
    Appended,
    NewPublication,
    ReadPlan,
    Retention,
    StoreSize,
    StreamPage,
    Trimmed,
)
from warren_history.ports import StoreUnavailableError, StoreUnusableError

_READ_ATTEMPTS: Final = 3
_EPOCH_BYTES: Final = 9
_TOGETHER: Final = 2048
"""Publications in one transaction at most, unless one call brings more."""
_TOGETHER_BYTES: Final = 16 * 1024 * 1024
"""Likewise their payloads."""

T = TypeVar("T")


def _random_epoch() -> str:
    return secrets.token_urlsafe(_EPOCH_BYTES)


@dataclass(frozen=True, slots=True)
class PostgresOptions:
    """How a database is used."""

    flush: bool = True
    """Whether a commit waits for the disk, and for what else the server's synchronous_commit asks."""
    idempotency_window: int = 3_600_000
    """Milliseconds."""
    readers: int = 2
    """Reads at the same time."""
    deadline: float = 10.0
    """Seconds after which a call gives up waiting."""
    new_epoch: NewEpoch = _random_epoch
    clock: AgeClock = DATABASE_CLOCK


@dataclass(slots=True, eq=False)
class _AppendRequest:
    batch: Sequence[NewPublication]
    now: int
    done: asyncio.Future[Sequence[Appended]]


class PostgresStore:
    """Implements warren_history.ports.Store."""

    def __init__(self, server: Server, options: PostgresOptions) -> None:
        """Use a server; call ``open`` instead."""
        self._options = options
        # Connections of their own, so that no kind of call waits for another.
        self._appending = Connections(server, 1, options.deadline)
        self._opening = Connections(server, 1, options.deadline)
        self._trimming = Connections(server, 1, options.deadline)
        self._reading = Connections(server, options.readers, options.deadline)
        self._waiting: list[_AppendRequest] = []
        self._writing: asyncio.Task[None] | None = None
        self._wanted: dict[str, Retention] = {}
        self._one_opens = asyncio.Lock()
        self._size = StoreSize(0, 0, 0, 0)
        self._closed = False
        self._failing = False

    @classmethod
    async def open(cls, url: str, options: PostgresOptions | None = None) -> PostgresStore:
        """Open the database, making or migrating its tables if need be.

        A server that is away is waited for by those who call: then the store is not healthy yet.
        Raises StoreUnusableError.
        """
        options = options or PostgresOptions()
        server = Server(url, options.deadline)
        store = cls(server, options)
        try:
            store._trimming.adopt(await server.connect())
            await store._measure()
        except StoreUnavailableError:
            store._failing = True
        except StoreUnusableError as error:
            raise StoreUnusableError(f"store {_shown(url)}: {error}") from error
        return store

    async def append(self, batch: Sequence[NewPublication], *, now: int) -> Sequence[Appended]:
        """See the port."""
        self._check_open()
        if not batch:
            return []
        request = _AppendRequest(batch, now, asyncio.get_running_loop().create_future())
        self._waiting.append(request)
        if self._writing is None or self._writing.done():
            # Of its own, as it works for many callers and each of them may be cancelled; ``close`` waits for it.
            self._writing = asyncio.create_task(self._write(), name="history-write")
        try:
            async with asyncio.timeout(self._options.deadline):
                return await request.done
        except TimeoutError as error:
            self._failing = True
            raise StoreUnavailableError(f"no answer within {self._options.deadline} s") from error
        finally:
            if request in self._waiting:
                self._waiting.remove(request)

    async def read(self, plan: ReadPlan, *, now: int) -> StreamPage:
        """See the port."""
        for _ in range(_READ_ATTEMPTS):
            page = await self._call(self._reading, lambda connection: read(connection, plan, now))
            if page is not None:
                return page
            await self._open_stream(plan, now)
        raise StoreUnavailableError("the stream could not be begun")

    async def remove(self, channel: str) -> int:
        """See the port."""
        removal = await self._call(self._trimming, lambda connection: find_removal(connection, channel))
        if removal is None:
            return 0
        removed = 0
        while last := await self._call(self._trimming, lambda connection: remove_slice(connection, removal)):
            self._grow(0, -last, 0)
            removed += last
        return removed

    async def renew_epochs(self) -> int:
        """See the port. Not to be called while other processes append."""
        return await self._call(self._trimming, renew_epochs)

    async def trim(self, *, now: int, limit: int) -> Trimmed:
        """See the port. Does nothing while another process trims."""
        options = self._options
        trimmed = await self._call(
            self._trimming,
            lambda connection: trim(connection, now, options.clock, options.idempotency_window, limit),
        )
        if trimmed.more:
            self._grow(-trimmed.streams, -trimmed.publications, -trimmed.message_ids)
        else:
            await self._measure()
        return trimmed

    async def begin_trial(self, queue: str, delivery: str) -> int:
        """See the port."""
        return await self._call(self._opening, lambda connection: begin_trial(connection, queue, delivery))

    async def end_trial(self, queue: str) -> None:
        """See the port."""
        await self._call(self._opening, lambda connection: end_trial(connection, queue))

    def size(self) -> StoreSize:
        """See the port. Of other processes' doing it knows what the last trimming saw."""
        return self._size

    @property
    def healthy(self) -> bool:
        """See the port."""
        return not self._closed and not self._failing

    async def close(self) -> None:
        """See the port."""
        self._closed = True
        if self._writing is not None:
            await asyncio.wait([self._writing])
        for connections in (self._appending, self._opening, self._trimming, self._reading):
            await connections.close()

    async def _write(self) -> None:
        while self._waiting:
            await self._append_together(self._take_some())

    def _take_some(self) -> Sequence[_AppendRequest]:
        together: list[_AppendRequest] = []
        count = size = 0
        while self._waiting:
            batch = self._waiting[0].batch
            count, size = count + len(batch), size + payload_bytes(batch)
            if together and (count > _TOGETHER or size > _TOGETHER_BYTES):
                break
            together.append(self._waiting.pop(0))
        return together

    async def _append_together(self, requests: Sequence[_AppendRequest]) -> None:
        try:
            results = await self._append(
                [item for request in requests for item in request.batch], max(request.now for request in requests)
            )
        except Exception as error:  # noqa: BLE001 - each caller raises it
            if len(requests) > 1 and isinstance(error, MISTAKES):
                # One partition's publication must not be another's failure.
                for request in requests:
                    await self._append_together([request])
                return
            for request in requests:
                if not request.done.done():
                    request.done.set_exception(error)
            return
        start = 0
        for request in requests:
            end = start + len(request.batch)
            if not request.done.done():  # else its caller has gone
                request.done.set_result(results[start:end])
            start = end

    async def _append(self, batch: Sequence[NewPublication], now: int) -> Sequence[Appended]:
        options = self._options
        work = Append(batch, now, options.new_epoch)
        results, growth = await self._call(
            self._appending,
            lambda connection: work.run(
                connection, clock=options.clock, window=options.idempotency_window, flush=options.flush
            ),
        )
        self._grow(growth.streams, growth.publications, growth.message_ids)
        return results

    async def _open_stream(self, plan: ReadPlan, now: int) -> None:
        # A commit costs a disk flush. Those who ask while one is under way share the next.
        self._wanted[plan.channel] = plan.retention
        async with self._one_opens:
            if plan.channel not in self._wanted:
                return
            wanted, self._wanted = self._wanted, {}
            work = partial(
                open_streams, wanted=wanted, now=now, new_epoch=self._options.new_epoch, flush=self._options.flush
            )
            self._grow(await self._call(self._opening, work), 0, 0)

    async def _measure(self) -> None:
        self._size = await self._call(self._trimming, measure)

    def _grow(self, streams: int, publications: int, message_ids: int) -> None:
        size = self._size
        self._size = replace(
            size,
            streams=size.streams + streams,
            publications=size.publications + publications,
            message_ids=size.message_ids + message_ids,
        )

    async def _call(self, connections: Connections, work: Work[T]) -> T:
        self._check_open()
        try:
            result = await connections.run(work)
        except StoreUnavailableError:
            self._failing = True
            raise
        self._failing = False
        return result

    def _check_open(self) -> None:
        if self._closed:
            raise StoreUnavailableError("the store is closed")


def _shown(url: str) -> str:
    """Return a URL without what is secret in it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
