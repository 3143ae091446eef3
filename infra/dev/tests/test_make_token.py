"""What a user types to ``make token`` reaches the command as it is, whatever the shell would make of it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PYTHON = """#!/bin/sh
for each; do echo "$each"; done
"""


@pytest.mark.parametrize("target", ["token", "compose-token"])
@pytest.mark.parametrize("user", ["alice", 'a"b', "a'b", "a`id`b", "a b", "a$$(id)b", ""])
def test_a_name_is_passed_on_unchanged(tmp_path: Path, target: str, user: str) -> None:
    venv = tmp_path / ".venv"
    (venv / "bin").mkdir(parents=True)
    for name in ("python", "docker"):
        (venv / "bin" / name).write_text(PYTHON)
        (venv / "bin" / name).chmod(0o755)
    command = ["make", "-f", str(ROOT / "Makefile"), "-o", ".venv/.installed-run", target]
    done = subprocess.run(
        [*command, f"USER={user}", "TTL=-1h", "CHANNELS=chat:a,chat:$$b", "CHANNEL=chat:$x"],
        cwd=tmp_path,
        env={**os.environ, "MAKEFLAGS": "", "MAKELEVEL": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    arguments = [f"--user={user}", "--channels=chat:a,chat:$$b", "--channel=chat:$x", "--ttl=-1h"]
    assert done.stdout.splitlines()[-4:] == arguments
