"""Whoever is stopped while it starts something leaves nothing behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from staging.stage import Stage


async def test_what_was_being_entered_when_it_was_cancelled_is_left_again() -> None:
    happened: list[str] = []
    entering = asyncio.Event()
    loop = asyncio.get_running_loop()

    @asynccontextmanager
    async def slow() -> AsyncIterator[None]:
        loop.call_soon_threadsafe(entering.set)
        await asyncio.sleep(0.2)
        happened.append("in")
        try:
            yield
        finally:
            happened.append("out")

    with Stage.open() as stage:

        async def hold() -> None:
            async with stage.holding(slow):
                pytest.fail("it was cancelled before")

        task = asyncio.create_task(hold())
        await entering.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    assert happened == ["in", "out"]
