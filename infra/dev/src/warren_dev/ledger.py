"""Which processes were started from this folder: one run at a time, and no leftovers of a crashed one."""

from __future__ import annotations

import fcntl
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import psutil

from warren_dev.errors import SetupError

_LEFTOVER_SECONDS: Final = 8.0


@contextmanager
def only_run(run_dir: Path) -> Iterator[None]:
    """Hold the folder's lock while the block runs; the operating system frees it if this process dies.

    Raises SetupError if another run holds it.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    with (run_dir / "lock").open("a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise SetupError(
                f"Warren already runs from this folder (process {lock.read().strip()}): stop it first with Ctrl-C there"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


class Ledger:
    """A file of the processes that run now, each known by pid and time of birth, so that a pid that
    was given to somebody else is never taken for ours.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._born: dict[int, float] = {}

    def record(self, pid: int) -> None:
        """Note a process that was just started, the leader of its own process group."""
        with suppress(psutil.NoSuchProcess):
            self._born[pid] = psutil.Process(pid).create_time()
            self._write()

    def forget(self, pid: int) -> None:
        """Note that a process has ended."""
        if self._born.pop(pid, None) is not None:
            self._write()

    def end_leftovers(self) -> int:
        """End what an earlier run left behind; blocks for seconds. Return how many processes."""
        leftovers = list(self._leftovers())
        for process in leftovers:
            _signal_group(process.pid, signal.SIGTERM)
        _, stubborn = psutil.wait_procs(leftovers, timeout=_LEFTOVER_SECONDS)
        for process in stubborn:
            _signal_group(process.pid, signal.SIGKILL)
        psutil.wait_procs(stubborn, timeout=_LEFTOVER_SECONDS)
        self._path.unlink(missing_ok=True)
        return len(leftovers)

    def _leftovers(self) -> Iterator[psutil.Process]:
        try:
            born = {int(pid): float(when) for pid, when in json.loads(self._path.read_text("utf-8")).items()}
        except (OSError, ValueError, AttributeError):
            return
        for pid, when in born.items():
            with suppress(psutil.NoSuchProcess):
                process = psutil.Process(pid)
                if abs(process.create_time() - when) < 1 and process.status() != psutil.STATUS_ZOMBIE:
                    yield process

    def _write(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_suffix(".new")
        draft.write_text(json.dumps(self._born), "utf-8")
        draft.replace(self._path)


def _signal_group(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)
