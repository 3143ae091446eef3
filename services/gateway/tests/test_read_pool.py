"""Reading from history: so many at a time, and patient where it helps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from warren_gateway.handlers.reads import Range, RangeRead, ReadPool, read_range
from warren_gateway.ports import ServiceUnavailableError
from warren_shared.contracts.codes import ErrorCode
from warren_shared.contracts.history import Page, ReadRequest, StoredPublication

from .bus_world import settle


class History:
    def __init__(self) -> None:
        self.reads = 0
        self.failure: Exception | None = None
        self.gate: asyncio.Event | None = None
        self.concurrent = self.most = 0

    async def read(self, request: ReadRequest) -> Page:
        assert request.channel
        self.reads += 1
        self.concurrent += 1
        self.most = max(self.most, self.concurrent)
        try:
            if self.gate is not None:
                await self.gate.wait()
            if self.failure is not None:
                raise self.failure
            return Page(epoch="E", top=0)
        finally:
            self.concurrent -= 1


class Channel:
    """Needs one read, and asks again where it failed, unless it is broken."""

    def __init__(self, pool: ReadPool, *, breaks: bool = False) -> None:
        self._pool, self._breaks = pool, breaks
        self.needs = True
        self.failures = 0

    def next_read(self) -> RangeRead | None:
        return RangeRead("a", 0, 0, None) if self.needs else None

    def read_done(self, read: RangeRead, history: Range) -> None:
        assert read.channel == "a"
        assert history.epoch == "E"
        if self._breaks:
            raise ValueError
        self.needs = False

    def read_failed(self, error: ErrorCode) -> None:
        assert error.temporary
        self.failures += 1
        if not self._breaks:
            self._pool.want(self)


class Pauses:
    def __init__(self) -> None:
        self.asked: list[float] = []
        self.over = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.asked.append(seconds)
        await asyncio.sleep(0)
        await self.over.wait()


class _EndError(Exception):
    """Ends the tasks."""


@asynccontextmanager
async def pool(history: History, pauses: Pauses, *, patient: bool = True) -> AsyncIterator[ReadPool]:
    try:
        async with asyncio.TaskGroup() as tasks:
            yield ReadPool(
                history.read, tasks.create_task, concurrency=4, patient=patient, longest_pause=5.0, sleep=pauses.sleep
            )
            raise _EndError
    except* _EndError:
        pass


def channels(made: ReadPool, count: int) -> Sequence[Channel]:
    wanted = [Channel(made) for _ in range(count)]
    for channel in wanted:
        made.want(channel)
        made.want(channel)
    return wanted


async def test_each_channel_is_read_once_and_so_many_at_a_time() -> None:
    history = History()
    history.gate = asyncio.Event()
    async with pool(history, Pauses()) as made:
        wanted = channels(made, 10)
        await settle()
        assert history.concurrent == 4
        history.gate.set()
        await settle()
        assert not any(channel.needs for channel in wanted)
        assert (history.reads, history.most) == (10, 4)


async def test_one_channel_that_cannot_be_read_is_tried_again_after_a_pause_by_one_worker() -> None:
    history, pauses = History(), Pauses()
    history.failure = ServiceUnavailableError()
    async with pool(history, pauses) as made:
        (channel,) = channels(made, 1)
        await settle()
        assert (history.reads, len(pauses.asked)) == (1, 1)
        history.failure = None
        pauses.over.set()
        await settle()
        assert not channel.needs
        assert history.reads == 2


async def test_pauses_grow_and_are_bounded() -> None:
    history, pauses = History(), Pauses()
    history.failure = ServiceUnavailableError()
    pauses.over.set()
    async with pool(history, pauses) as made:
        channels(made, 1)
        while len(pauses.asked) < 30:
            await settle()
        assert max(pauses.asked) <= 5.0
        assert max(pauses.asked[10:]) > 0.4


async def test_all_work_again_once_one_read_succeeds() -> None:
    history, pauses = History(), Pauses()
    history.failure = ServiceUnavailableError()
    async with pool(history, pauses) as made:
        wanted = channels(made, 50)
        await settle()
        history.failure = None
        pauses.over.set()
        await settle()
        assert not any(channel.needs for channel in wanted)


async def test_an_impatient_pool_says_what_failed_and_goes_on_at_once() -> None:
    history, pauses = History(), Pauses()
    history.failure = ServiceUnavailableError()
    async with pool(history, pauses, patient=False) as made:
        (channel,) = channels(made, 1)
        history.gate = asyncio.Event()
        await settle()
        history.failure = None
        history.gate.set()
        await settle()
        assert not channel.needs
        assert pauses.asked == []


@pytest.mark.parametrize("patient", [True, False])
async def test_a_bug_in_one_channel_leaves_the_others_alone(patient: bool) -> None:
    history, pauses = History(), Pauses()
    async with pool(history, pauses, patient=patient) as made:
        broken = Channel(made, breaks=True)
        made.want(broken)
        (channel,) = channels(made, 1)
        await settle()
        pauses.over.set()
        await settle()
        assert broken.failures == 1
        assert not channel.needs


async def test_ending_while_history_is_away_ends_quietly() -> None:
    history, pauses = History(), Pauses()
    history.failure = ServiceUnavailableError()
    async with pool(history, pauses) as made:
        channels(made, 10)
        await settle()
        assert pauses.asked


class Pages:
    """Answers reads with pages that were laid out before."""

    def __init__(self, *pages: Page) -> None:
        self._pages = list(pages)
        self.since: list[int | None] = []

    async def read(self, request: ReadRequest) -> Page:
        self.since.append(request.since_offset)
        return self._pages.pop(0) if len(self._pages) > 1 else self._pages[0]


def page(epoch: str, top: int, *offsets: int) -> Page:
    return Page(epoch=epoch, top=top, publications=tuple(StoredPublication(offset=each, data="1") for each in offsets))


async def test_pages_of_different_epochs_are_not_joined_but_read_from_the_start() -> None:
    pages = Pages(page("E", 9, 4, 5), page("F", 9, 6, 7), page("F", 5, 4, 5))
    history = await read_range(pages.read, RangeRead("a", 3, 100, None))
    assert (history.epoch, [each.offset for each in history.publications]) == ("F", [4, 5])
    assert pages.since == [3, 5, 3]


async def test_a_stream_that_begins_anew_at_every_page_is_unavailable() -> None:
    pages = Pages(*(page(f"E{number}", 99, number + 4) for number in range(20)))
    with pytest.raises(ServiceUnavailableError):
        await read_range(pages.read, RangeRead("a", 3, 100, None))
    assert len(pages.since) == 6
