from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from warren_dev.errors import SetupError
from warren_dev.ledger import Ledger, only_run

HOLD_THE_LOCK = """
import pathlib, signal, sys
from warren_dev.ledger import only_run
with only_run(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    signal.pause()
"""


@pytest.fixture
def leftover() -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", "import signal; signal.pause()"]
    with subprocess.Popen(command, start_new_session=True) as process:
        yield process
        process.kill()


def test_what_an_earlier_run_left_behind_is_ended(tmp_path: Path, leftover: subprocess.Popen[bytes]) -> None:
    Ledger(tmp_path / "ledger.json").record(leftover.pid)
    assert Ledger(tmp_path / "ledger.json").end_leftovers() == 1
    assert not psutil.pid_exists(leftover.pid)
    assert Ledger(tmp_path / "ledger.json").end_leftovers() == 0


def test_a_process_that_ended_and_was_forgotten_is_no_leftover(
    tmp_path: Path, leftover: subprocess.Popen[bytes]
) -> None:
    ledger = Ledger(tmp_path / "ledger.json")
    ledger.record(leftover.pid)
    ledger.forget(leftover.pid)
    assert Ledger(tmp_path / "ledger.json").end_leftovers() == 0
    assert leftover.poll() is None


def test_somebody_elses_process_under_an_old_pid_is_left_alone(
    tmp_path: Path, leftover: subprocess.Popen[bytes]
) -> None:
    born_earlier = psutil.Process(leftover.pid).create_time() - 100
    (tmp_path / "ledger.json").write_text(json.dumps({str(leftover.pid): born_earlier}))
    assert Ledger(tmp_path / "ledger.json").end_leftovers() == 0
    assert leftover.poll() is None


@pytest.mark.parametrize("text", ["", "no json", "[]", '{"a": "b"}'])
def test_a_spoilt_ledger_stops_nobody(tmp_path: Path, text: str) -> None:
    (tmp_path / "ledger.json").write_text(text)
    assert Ledger(tmp_path / "ledger.json").end_leftovers() == 0


def test_one_folder_has_one_run_at_a_time(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD_THE_LOCK, str(tmp_path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with (
            pytest.raises(SetupError, match=rf"already runs from this folder \(process {holder.pid}\)"),
            only_run(tmp_path),
        ):
            pass
        holder.kill()
        holder.wait()
        with only_run(tmp_path):  # a crashed run holds nothing
            pass
