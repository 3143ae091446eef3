"""Reads of channels' streams from history: bounded in number, retried where somebody can wait."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, Protocol

import structlog
from tenacity import AsyncRetrying, retry_if_exception_type, wait_random_exponential

from warren_gateway.domain.publications import Publication, stored_publication
from warren_gateway.domain.stream import Ask
from warren_gateway.ports import RequestFailedError, ServiceUnavailableError
from warren_shared.contracts.codes import ErrorCode, Errors
from warren_shared.contracts.history import Page, ReadRequest

Spawn = Callable[[Coroutine[Any, Any, None]], object]
ReadPage = Callable[[ReadRequest], Awaitable[Page]]
FIRST_PAUSE: Final = 0.2
READS_OVER_AT_MOST: Final = 3
_log = structlog.get_logger()


class Answerable(Protocol):
    """Who waits for a read."""

    answered: bool
    """Whether a read answered; then there is nothing more to ask."""


@dataclass(frozen=True, slots=True, eq=False)
class RangeRead:
    """A read that one channel needs."""

    channel: str
    since: int
    limit: int
    """Publications at most; 0 asks for the position alone."""
    ask: Ask | None
    """What the stream needed to know; None if it has no position yet."""
    waiters: Sequence[Answerable] = ()
    """Who is answered by it."""
    latest: bool = False
    """Asks for the one latest publication instead; ``since`` and ``limit`` do not count."""


@dataclass(frozen=True, slots=True)
class Range:
    """What was read: publications after ``since``, ascending."""

    epoch: str
    top: int
    publications: Sequence[Publication] = ()

    def reaches_top(self, since: int) -> bool:
        """Whether nothing was left out at the end."""
        return (self.publications[-1].offset if self.publications else since) >= self.top


class Readable(Protocol):
    """A channel that may need history."""

    def next_read(self) -> RangeRead | None:
        """Begin a read and return it; None if none is needed, or one is under way."""

    def read_done(self, read: RangeRead, history: Range) -> None:
        """Take in what was read."""

    def read_failed(self, error: ErrorCode) -> None:
        """Take note that nothing was read."""


class _NotReadError(Exception):
    """History could not be asked."""


async def read_range(read_page: ReadPage, read: RangeRead) -> Range:
    """Read a range page by page, because a page is bounded in bytes too. Raises as ``read_page``.

    A stream that begins anew between two pages is read from the start; ServiceUnavailableError if it
    does so again and again.
    """
    for _ in range(READS_OVER_AT_MOST):
        history = await _read_pages(read_page, read)
        if history is not None:
            return history
    raise ServiceUnavailableError("the stream began anew again and again while it was read")


async def _read_pages(read_page: ReadPage, read: RangeRead) -> Range | None:
    """Return None if pages are of different epochs: they do not belong together."""
    if read.latest:
        page = await read_page(ReadRequest(channel=read.channel, limit=1, reverse=True))
        return Range(page.epoch, page.top, tuple(map(stored_publication, page.publications)))
    publications: list[Publication] = []
    since, epoch = read.since, None
    while True:
        limit = read.limit - len(publications)
        page = await read_page(ReadRequest(channel=read.channel, limit=limit, since_offset=since if limit else None))
        if epoch is not None and page.epoch != epoch:
            return None
        epoch = page.epoch
        publications.extend(map(stored_publication, page.publications))
        if not page.publications or page.publications[-1].offset >= page.top or len(publications) >= read.limit:
            return Range(page.epoch, page.top, publications)
        since = page.publications[-1].offset


class ReadPool:
    """Works off the channels that need a read, so many at a time, in the order in which they asked.

    A channel is told when history could not be asked. A ``patient`` pool then pauses, ever longer,
    before it goes on: what asks it asks again.
    """

    def __init__(
        self,
        read_page: ReadPage,
        spawn: Spawn,
        *,
        concurrency: int,
        patient: bool = False,
        longest_pause: float = 5.0,
        sleep: Callable[[float], Awaitable[None]] | None = None,
    ) -> None:
        self._read_page, self._spawn, self._concurrency = read_page, spawn, concurrency
        self._patient, self._longest_pause, self._sleep = patient, longest_pause, sleep
        self._queue: deque[Readable] = deque()
        self._queued: set[Readable] = set()
        self._workers = 0
        self._failing = False
        """Whether the last read failed; then nobody is employed who would not pause."""

    def want(self, channel: Readable) -> None:
        """Have ``channel`` asked what it needs, soon."""
        if channel not in self._queued:
            self._queued.add(channel)
            self._queue.append(channel)
            if not (self._failing and self._workers):
                self._employ()

    def waiting(self, at_most: int) -> Sequence[Readable]:
        """Return those who wait longest."""
        return tuple(islice(self._queue, at_most))

    def _employ(self) -> None:
        if self._workers < self._concurrency:
            self._workers += 1
            self._spawn(self._work())

    async def _work(self) -> None:
        try:
            if self._patient:
                await self._retrying()(self._work_off)
            else:
                await self._work_off()
        finally:
            self._workers -= 1
        if self._queue:
            self._employ()

    def _retrying(self) -> AsyncRetrying:
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(_NotReadError),
            wait=wait_random_exponential(multiplier=FIRST_PAUSE, max=self._longest_pause),
        )
        return retrying if self._sleep is None else retrying.copy(sleep=self._sleep)

    async def _work_off(self) -> None:
        while self._queue:
            channel = self._queue.popleft()
            self._queued.discard(channel)
            read = channel.next_read()
            if read is None:
                continue
            if not await self._read(channel, read) and self._patient:
                raise _NotReadError
            if self._queue:
                self._employ()

    async def _read(self, channel: Readable, read: RangeRead) -> bool:
        try:
            history = await read_range(self._read_page, read)
            self._failing = False
            channel.read_done(read, history)
        except ServiceUnavailableError:
            pass
        except RequestFailedError as failure:
            # The channel is durable here and not yet, or no longer, there: the services reload the
            # namespace file within a second of one another. A lasting error would end subscriptions.
            _log.warning("history_read_refused", code=failure.error.code)
        except Exception:  # noqa: BLE001 - one channel's bug must not end the others; it is logged whole
            _log.exception("history_read_crashed")
        else:
            return True
        self._failing = self._patient
        channel.read_failed(Errors.INTERNAL)
        return False
