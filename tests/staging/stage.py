"""An event loop in a thread of its own, for what outlives a test: each test has its own loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Any, TypeVar

T = TypeVar("T")


class Stage:
    """Runs coroutines, and holds async context managers open, beside the tests."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="stage", daemon=True)

    @classmethod
    @contextmanager
    def open(cls) -> Iterator[Stage]:
        """Run a stage while the block does."""
        stage = cls()
        stage._thread.start()
        try:
            yield stage
        finally:
            stage.call(stage._loop.shutdown_default_executor())
            stage._loop.call_soon_threadsafe(stage._loop.stop)
            stage._thread.join()
            stage._loop.close()

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the stage and block until it is done."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the stage and wait for it in this loop."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    @contextmanager
    def hold(self, make: Callable[[], AbstractAsyncContextManager[T]]) -> Iterator[T]:
        """Hold a context manager open on the stage while the block runs."""
        entered: Future[T] = Future()
        leaving = asyncio.Event()

        async def holding() -> None:
            try:
                async with make() as value:
                    entered.set_result(value)
                    await leaving.wait()
            except BaseException as error:
                if entered.done():
                    raise
                entered.set_exception(error)

        held = asyncio.run_coroutine_threadsafe(holding(), self._loop)
        value = entered.result()
        try:
            yield value
        finally:
            self._loop.call_soon_threadsafe(leaving.set)
            held.result()

    @asynccontextmanager
    async def holding(self, make: Callable[[], AbstractAsyncContextManager[T]]) -> AsyncIterator[T]:
        """Hold a context manager open on the stage while the block runs in this loop."""
        manager = self.hold(make)
        entering = asyncio.create_task(asyncio.to_thread(manager.__enter__))
        try:
            value = await asyncio.shield(entering)
        except asyncio.CancelledError:  # half way in nobody can turn back
            await entering
            await asyncio.to_thread(manager.__exit__, None, None, None)
            raise
        try:
            yield value
        finally:
            await asyncio.to_thread(manager.__exit__, None, None, None)
