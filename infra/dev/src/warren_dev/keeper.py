"""Keeps one program running: starts it, passes its output on, starts it again after a crash."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from warren_dev.ledger import Ledger
from warren_dev.program import ConfigMistake, LineSink, Program, SupervisorError, Timing

CONFIG_EXIT_CODE: Final = 78
_CHUNK: Final = 65_536
_LINES_KEPT: Final = 20
_SWEEP_SECONDS: Final = 20.0


class Keeper:
    """One program and, while it runs, its process: the leader of a process group of its own, so that
    a Ctrl-C at the terminal reaches the supervisor alone.
    """

    def __init__(
        self,
        program: Program,
        sink: LineSink,
        ledger: Ledger,
        timing: Timing,
        on_mistake: Callable[[ConfigMistake], None],
    ) -> None:
        self.program = program
        self.crashes = 0
        """How often it ended by itself since it last ran steadily."""
        self.mistake: ConfigMistake | None = None
        self._sink, self._ledger, self._timing, self._on_mistake = sink, ledger, timing, on_mistake
        self._wanted = asyncio.Event()
        self._unwanted = asyncio.Event()
        self._running = asyncio.Event()
        self._ended = asyncio.Event()
        self._ended.set()
        self._process: asyncio.subprocess.Process | None = None
        self._failure: OSError | None = None
        self._lines: deque[str] = deque(maxlen=_LINES_KEPT)

    @property
    def pid(self) -> int | None:
        """The process now, None while there is none."""
        return self._process.pid if self._process else None

    @property
    def last_line(self) -> str:
        """The last line it wrote that says anything."""
        return self._lines[-1] if self._lines else ""

    async def start(self) -> None:
        """Have it run; returns when it does. Raises SupervisorError if it cannot be executed."""
        self.mistake, self._failure, self.crashes = None, None, 0
        self._unwanted.clear()
        self._wanted.set()
        await self._running.wait()
        if self._failure is not None:
            raise SupervisorError(f"{self.program.name}: {self.program.command[0]}: {self._failure.strerror}")

    async def stop(self) -> None:
        """SIGTERM, then SIGKILL to the whole group after the program's deadline; returns when it is gone."""
        self._give_up()
        try:
            async with asyncio.timeout(self.program.stop_seconds):
                while not self._ended.is_set():
                    self._signal(signal.SIGTERM)
                    with suppress(TimeoutError):
                        async with asyncio.timeout(self.program.term_again):
                            await self._ended.wait()
        except TimeoutError:
            self._sink(self.program.name, f"did not end within {self.program.stop_seconds:g} s: killed")
            await self.kill()

    async def kill(self) -> None:
        """SIGKILL to the whole group; returns when it is gone. It stays down until started."""
        self._give_up()
        self._signal_group(signal.SIGKILL)
        await self._ended.wait()

    async def keep(self) -> None:
        """Run the program whenever it is wanted, until cancelled."""
        while True:
            await self._wanted.wait()
            began = asyncio.get_running_loop().time()
            code = await self._run_once()
            if self._unwanted.is_set():
                continue
            if code is None or code == CONFIG_EXIT_CODE:
                self.mistake = ConfigMistake(self.program.name, self.last_line)
                self._on_mistake(self.mistake)
                self._give_up()
                continue
            if asyncio.get_running_loop().time() - began > self._timing.steady:
                self.crashes = 0
            self.crashes += 1
            await self._pause(code)

    def _give_up(self) -> None:
        self._wanted.clear()
        self._unwanted.set()

    async def _pause(self, code: int) -> None:
        delay = min(self._timing.first_backoff * 2 ** (self.crashes - 1), self._timing.longest_backoff)
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        self._sink(self.program.name, f"ended with {how}: starting again in {delay:g} s")
        with suppress(TimeoutError):
            async with asyncio.timeout(delay):
                await self._unwanted.wait()

    async def _run_once(self) -> int | None:
        """Run it until it ends and return its exit code, None if it could not be executed."""
        process = await self._spawn()
        if process is None:
            return None
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass_on(process), name=f"output of {self.program.name}")
                code = await process.wait()
                self._signal_group(signal.SIGKILL)  # its children hold the output open
            await self._sweep()
        finally:
            if process.returncode is None:
                self._signal_group(signal.SIGKILL)
            self._ledger.forget(process.pid)
            self._process = None
            self._running.clear()
            self._ended.set()
        return code

    async def _spawn(self) -> asyncio.subprocess.Process | None:
        try:
            process = await asyncio.create_subprocess_exec(
                *self.program.command,
                env=dict(self.program.environment),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            self._failure = error
            self._lines.append(f"{self.program.command[0]}: {error.strerror}")
            self._running.set()
            return None
        self._process = process
        self._ledger.record(process.pid)
        self._ended.clear()
        self._running.set()
        if self._unwanted.is_set():  # stopped while it was being started
            self._signal_group(signal.SIGKILL)
        return process

    async def _sweep(self) -> None:
        if self.program.sweep:
            quiet = asyncio.subprocess.DEVNULL
            sweeper = await asyncio.create_subprocess_exec(*self.program.sweep, stdin=quiet, stdout=quiet, stderr=quiet)
            with suppress(TimeoutError):
                async with asyncio.timeout(_SWEEP_SECONDS):
                    await sweeper.wait()

    async def _pass_on(self, process: asyncio.subprocess.Process) -> None:
        stream = process.stdout
        rest = b""
        while stream is not None and (chunk := await stream.read(_CHUNK)):
            self._log(chunk)
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._line(line)
            if len(rest) > _CHUNK:
                self._line(rest)
                rest = b""
        if rest:
            self._line(rest)

    def _log(self, chunk: bytes) -> None:
        if (file := self.program.log_file) is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("ab") as log:
                log.write(chunk)

    def _line(self, raw: bytes) -> None:
        line = raw.decode("utf-8", "replace").rstrip()
        if line:
            self._lines.append(line)
        if not self.program.quiet:
            self._sink(self.program.name, line)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    def _signal_group(self, number: signal.Signals) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)
