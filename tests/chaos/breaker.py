"""Breaks what a plan says, when it says so, and mends it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from proxy import Proxy
from staging.database import Database
from staging.suite import Suite

from chaos.layout import BROKER
from chaos.plan import DATABASE, LEADER, NODE, REST, TOGETHER, Fault, FaultKind
from chaos.stores import Keeping
from warren_dev.program import SupervisorError

_DELAY_SECONDS: Final = 0.2
_BYTES_PER_SECOND: Final = 30_000
_LONGEST_SECONDS: Final = 240.0
"""In which a fault must be mended, however slow the machine."""


@dataclass(frozen=True, slots=True)
class Done:
    """A fault as it was, in seconds of the event loop's clock."""

    fault: Fault
    began: float
    mended: float


@dataclass(slots=True)
class Breaker:
    """Keeps to the plan's rule also on a machine where mending takes longer than was thought."""

    suite: Suite
    links: Mapping[str, Proxy]
    """By the target's name in the plan."""
    say: Callable[[str], None]
    storm: Callable[[str], Awaitable[None]]
    """Has many clients reconnect over a link."""
    resolve: Callable[[str], Awaitable[str]]
    """Returns which process a target of the plan is, before that dies."""
    store: Keeping
    done: list[Done] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    """What was not done, and why."""
    _locks: defaultdict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))
    _room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(TOGETHER))

    async def carry_out(self, plan: Sequence[Fault], seconds: float) -> None:
        """Break and mend everything of a plan of so many seconds."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with asyncio.TaskGroup() as group:
            for fault in plan:
                group.create_task(self._one(fault, began, began + seconds), name=str(fault))

    async def _one(self, fault: Fault, began: float, end: float) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, began + fault.moment - loop.time()))
        async with self._locks[fault.takes]:
            async with self._room:
                if why := self._impossible(fault, late=loop.time() > end):
                    self.left_out.append(f"{fault}: {why}")
                    return
                start = loop.time()
                async with asyncio.timeout(_LONGEST_SECONDS):
                    await self._break(fault)
                self.done.append(Done(fault, start, loop.time()))
                self.say(f"{start - began:6.1f} to {loop.time() - began:.1f} s: {fault.kind}, {fault.target}")
            await asyncio.sleep(REST)

    def _impossible(self, fault: Fault, *, late: bool) -> str:
        """Return why something cannot be broken, empty if it can."""
        if late:
            return "what came before took too long"
        if fault.kind is FaultKind.FULL_DISK and self.store.disk is None:
            return "only root can mount a disk to be filled"
        if fault.kind is FaultKind.MEMORY and not self.suite.broker.controllable:
            return "there is no rabbitmqctl"
        return ""

    async def _break(self, fault: Fault) -> None:
        match fault.kind:
            case FaultKind.KILL | FaultKind.RESTART if fault.target == DATABASE and self.store.database is not None:
                await self._break_database(self.store.database, fault)
            case FaultKind.KILL | FaultKind.RESTART:
                process = await self.resolve(fault.target)
                await (self.suite.kill9 if fault.kind is FaultKind.KILL else self.suite.stop)(process)
                await asyncio.sleep(fault.duration)
                await self._start(process)
            case FaultKind.PAUSE:
                with _paused(self.suite.pid(fault.target)):
                    await asyncio.sleep(fault.duration)
                await self._start(fault.target)
            case FaultKind.MEMORY:
                async with self.suite.broker.memory_alarm():
                    await asyncio.sleep(fault.duration)
            case FaultKind.FULL_DISK if self.store.disk is not None:
                with self.store.disk.full():
                    await asyncio.sleep(fault.duration)
            case FaultKind.STORM:
                await self.storm(fault.target)
            case _:
                with _broken_link(self.links[fault.target], fault.kind):
                    await asyncio.sleep(fault.duration)

    async def _break_database(self, database: Database, fault: Fault) -> None:
        await (database.crash if fault.kind is FaultKind.KILL else database.stop)()
        await asyncio.sleep(fault.duration)
        await database.start()
        await self.suite.wait_ready(*(name for name in self.store.environments if self.suite.is_running(name)))

    async def _start(self, name: str) -> None:
        """Have a process run and serve, if need be only after the broker, which may be broken as well, does again."""
        with suppress(SupervisorError):
            await self.suite.start(name)
        await self.suite.wait_ready(name)


@contextmanager
def _paused(pid: int) -> Iterator[None]:
    """Stop a process, and all of its group, without a word to anybody."""
    os.killpg(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(pid, signal.SIGCONT)


@contextmanager
def _broken_link(link: Proxy, kind: FaultKind) -> Iterator[None]:
    try:
        match kind:
            case FaultKind.CUT:
                link.accepting = False
                link.cut()
            case FaultKind.STALL:
                link.stall()
            case FaultKind.BLACK_HOLE:
                link.black_hole()
            case FaultKind.DELAY:
                link.delay(_DELAY_SECONDS)
            case FaultKind.THROTTLE:
                link.throttle(_BYTES_PER_SECOND)
        yield
    finally:
        link.accepting = True
        link.flow()
        link.fill_hole()
        link.delay(0)
        link.throttle(None)


def upheavals(done: Sequence[Done]) -> list[tuple[float, float]]:
    """Return when the broker was dead."""
    deaths = (FaultKind.KILL, FaultKind.RESTART)
    return [(each.began, each.mended) for each in done if _is_broker(each.fault) and each.fault.kind in deaths]


def disturbances(done: Sequence[Done], gateway: str, healing: float) -> list[tuple[float, float]]:
    """Return when live publications could not be relied on at a gateway, with so many seconds to heal."""
    return [
        (each.began, each.mended + healing) for each in done if _is_broker(each.fault) or each.fault.takes == gateway
    ]


def _is_broker(fault: Fault) -> bool:
    return fault.target in (BROKER, NODE, LEADER)
