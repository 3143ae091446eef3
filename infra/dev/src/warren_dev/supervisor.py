"""The supervisor: all programs together, started, watched and stopped in order."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from types import TracebackType
from typing import Final, Self

from warren_dev.keeper import Keeper
from warren_dev.ledger import Ledger
from warren_dev.program import ConfigMistake, LineSink, Program, SupervisorError, Timing

_HOPELESS_CRASHES: Final = 4


class Supervisor:
    """Runs programs while its ``async with`` block does, and stops them all, in order, when it ends.

    A program that ends by itself is started again after a growing pause, one that ends with exit
    code 78 is not. A program that was killed or stopped through this object stays down until it is
    started. Programs may be added while others run.
    """

    def __init__(self, sink: LineSink, ledger: Ledger, timing: Timing | None = None) -> None:
        self._sink, self._ledger, self._timing = sink, ledger, timing or Timing()
        self._keepers: dict[str, Keeper] = {}
        self._group = asyncio.TaskGroup()
        self._tasks: list[asyncio.Task[None]] = []
        self._mistakes: asyncio.Queue[ConfigMistake] = asyncio.Queue()

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        try:
            await self.stop_all()
        finally:
            for task in self._tasks:
                task.cancel()
            await self._group.__aexit__(None, None, None)  # the block's own error goes on as it is

    def add(self, *programs: Program) -> None:
        """Make programs known; they run once they are started."""
        for program in programs:
            keeper = Keeper(program, self._sink, self._ledger, self._timing, self._mistakes.put_nowait)
            self._keepers[program.name] = keeper
            self._tasks.append(self._group.create_task(keeper.keep(), name=f"keeper of {program.name}"))

    async def start(self, *names: str) -> None:
        """Start programs; returns when their processes run. Raises SupervisorError if one cannot."""
        for name in names:
            await self._keepers[name].start()

    async def stop(self, name: str) -> None:
        """End a program in good order; returns when it is gone."""
        await self._keepers[name].stop()

    async def kill9(self, name: str) -> None:
        """SIGKILL a program and whatever it started; returns when it is gone."""
        await self._keepers[name].kill()

    async def restart(self, name: str) -> None:
        """End a program in good order and start it again."""
        await self.stop(name)
        await self.start(name)

    async def stop_all(self) -> None:
        """End every program, the lowest stop rank first."""
        ranks = sorted({keeper.program.stop_rank for keeper in self._keepers.values()})
        for rank in ranks:
            async with asyncio.TaskGroup() as group:
                for keeper in self._keepers.values():
                    if keeper.program.stop_rank == rank:
                        group.create_task(keeper.stop(), name=f"stop of {keeper.program.name}")

    def pid(self, name: str) -> int:
        """Return a program's pid. Raises SupervisorError while it does not run."""
        pid = self._keepers[name].pid
        if pid is None:
            raise SupervisorError(f"{name} does not run")
        return pid

    async def wait_ready(self, *names: str, deadline: float) -> None:
        """Wait until programs (all, if none is named) are ready.

        Raises SupervisorError, in one line, at the deadline (seconds), or as soon as one of them
        made a configuration mistake or keeps crashing.
        """
        waiting = [self._keepers[name] for name in names or self._keepers]
        try:
            async with asyncio.timeout(deadline):
                for keeper in waiting:
                    while not await self._is_ready(keeper):
                        self._check_hope(waiting)
                        await asyncio.sleep(self._timing.poll)
        except TimeoutError:
            late = [keeper.program.name for keeper in waiting if not await self._is_ready(keeper)]
            raise SupervisorError(f"not ready within {deadline:g} s: {', '.join(late) or 'nobody'}") from None

    async def wait_mistake(self) -> ConfigMistake:
        """Wait until a program ends with exit code 78."""
        return await self._mistakes.get()

    @staticmethod
    async def _is_ready(keeper: Keeper) -> bool:
        return keeper.pid is not None and (keeper.program.ready is None or await keeper.program.ready())

    @staticmethod
    def _check_hope(keepers: Iterable[Keeper]) -> None:
        for keeper in keepers:
            name = keeper.program.name
            if keeper.mistake is not None:
                raise SupervisorError(f"{name} does not start: {keeper.mistake.line}")
            if keeper.crashes >= _HOPELESS_CRASHES:
                raise SupervisorError(f"{name} keeps ending; its last line: {keeper.last_line}")
