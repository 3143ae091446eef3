"""What a quorum queue delivered in vain too often is handed over alone, and the rest together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from staging.bus import DEADLINE, Prepare, bodies, consuming, numbered, running

from warren_shared.messaging.amqp.driver import Connect
from warren_shared.messaging.port import SUSPECT_AFTER, Delivery

pytestmark = [pytest.mark.broker, pytest.mark.timeout(120)]
COUNT = 20


class Batches:
    """A handler that keeps the batches it was given and fails on the first few."""

    def __init__(self, failures: int) -> None:
        self.taken: list[Sequence[Delivery]] = []
        self._failures = failures
        self._all = asyncio.Event()

    async def __call__(self, batch: Sequence[Delivery]) -> None:
        if self._failures:
            self._failures -= 1
            raise ConnectionError("in vain")
        self.taken.append(batch)
        if sum(map(len, self.taken)) >= COUNT:
            self._all.set()

    async def until_all(self) -> None:
        async with asyncio.timeout(60):
            await self._all.wait()


async def taken_after(url: str, connect: Connect, failures: int) -> Sequence[Sequence[Delivery]]:
    batches = Batches(failures)
    async with running(connect, url) as bus:
        await bus.publish_all(numbered(COUNT), deadline=DEADLINE)
    prepare: Prepare = consuming(batches, max_batch=COUNT, prefetch=COUNT)
    async with running(connect, url, prepare):
        await batches.until_all()
    assert [delivery.body for batch in batches.taken for delivery in batch] == bodies(COUNT)
    return batches.taken


async def test_what_came_in_vain_five_times_comes_alone_and_in_order(broker_url: str, connect: Connect) -> None:
    taken = await taken_after(broker_url, connect, SUSPECT_AFTER)
    assert [len(batch) for batch in taken] == [1] * COUNT


async def test_what_came_in_vain_less_often_comes_together(broker_url: str, connect: Connect) -> None:
    taken = await taken_after(broker_url, connect, SUSPECT_AFTER - 1)
    assert len(taken) < COUNT
