"""A task group that loses no cancellation and raises a bus error as itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Generator
from contextlib import asynccontextmanager
from contextvars import Context
from typing import Any, TypeVar

from warren_shared.messaging.port import BusError

T = TypeVar("T")


class _Group(asyncio.TaskGroup):
    """Knows its unfinished tasks."""

    def __init__(self) -> None:
        super().__init__()
        self.unfinished: set[asyncio.Task[Any]] = set()

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> asyncio.Task[T]:
        task = super().create_task(coro, name=name, context=context)
        self.unfinished.add(task)
        task.add_done_callback(self.unfinished.discard)
        return task


@asynccontextmanager
async def task_group() -> AsyncIterator[asyncio.TaskGroup]:
    """Own tasks for the block's time, as asyncio.TaskGroup does; two things are different.

    A bus error of a task, or of the block, is raised as itself unless other errors came with it.

    A cancellation is not lost. Before CPython 3.13 a group that is aborting swallows one that
    comes from outside; and one whose task fails after the block has ended leaves its parent with a
    cancellation nobody asked for. The second is avoided by waiting for the tasks inside the
    group, so that the first can be told by the count of cancellations.
    """
    parent = asyncio.current_task()
    before = parent.cancelling() if parent is not None else 0
    try:
        async with _Group() as group:
            yield group
            while group.unfinished:
                await asyncio.wait(group.unfinished)
    except BaseExceptionGroup as errors:
        if parent is not None and parent.cancelling() > before:
            raise asyncio.CancelledError from errors
        bus_errors, others = errors.split(BusError)
        if bus_errors is None or others is not None:
            raise
        raise _first(bus_errors) from None


def _first(group: BaseExceptionGroup[BusError]) -> BusError:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
