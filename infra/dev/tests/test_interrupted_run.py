"""Ctrl-C ends a run without a traceback, at whatever moment it comes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

RUN = Path(__file__).parents[1] / "run.sh"
DEADLINE = 30.0
STARTING = """#!{python}
# Stands for a Python that still imports: no handler is installed yet.
import os, signal
os.write(1, b"up\\n")
signal.pause()
"""
RUNNING = """#!{python}
import os, signal
def end(*_):
    os.write(1, b"stopping\\n")
    os._exit(7)
signal.signal(signal.SIGTERM, end)
signal.signal(signal.SIGINT, end)
os.write(1, b"up\\n")
while True: signal.pause()
"""


@contextmanager
def started(folder: Path, program: str) -> Iterator[subprocess.Popen[str]]:
    """Run the script in a process group of its own, as a terminal does, with ``program`` as its python."""
    (folder / "python").write_text(program.format(python=sys.executable))
    (folder / "python").chmod(0o755)
    with subprocess.Popen(
        [RUN],
        env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "up\n"
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def at_the_terminal(process: subprocess.Popen[str], number: signal.Signals) -> None:
    os.killpg(process.pid, number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_run_that_is_still_being_loaded_ends_without_a_word(tmp_path: Path, number: signal.Signals) -> None:
    with started(tmp_path, STARTING) as process:
        (python,) = psutil.Process(process.pid).children()
        at_the_terminal(process, number)
        output, _ = process.communicate(timeout=DEADLINE)
    assert output == ""
    assert process.returncode in (128 + number, 128 + signal.SIGTERM)
    assert not python.is_running()


def test_a_run_that_listens_ends_in_its_own_way_and_with_its_own_exit_code(tmp_path: Path) -> None:
    with started(tmp_path, RUNNING) as process:
        at_the_terminal(process, signal.SIGINT)
        output, _ = process.communicate(timeout=DEADLINE)
    assert output.splitlines()[:1] == ["stopping"]
    assert process.returncode == 7
