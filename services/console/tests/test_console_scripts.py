"""Runs the tests of the page's scripts under Node, and checks that the scripts fit together."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from warren_console.adapters.http import STATIC

TESTS = Path(__file__).parent / "js"
NODE = shutil.which("node")

pytestmark = pytest.mark.skipif(NODE is None, reason="no Node: install the package nodejs")


@pytest.fixture
def modules(tmp_path: Path) -> Path:
    """The scripts and their tests in one folder that Node reads as ES modules."""
    for source in (STATIC / "js", TESTS):
        shutil.copytree(source, tmp_path, dirs_exist_ok=True)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    return tmp_path


def node(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    assert NODE is not None
    return subprocess.run(  # noqa: S603 - Node, on the project's own files
        [NODE, *arguments], cwd=folder, capture_output=True, text=True, timeout=50, check=False
    )


def test_the_scripts_do_what_their_tests_say(modules: Path) -> None:
    outcome = node(modules, "--test")
    assert outcome.returncode == 0, outcome.stdout
    assert "tests 0" not in outcome.stdout


def test_every_script_can_be_parsed_and_imports_what_exists(modules: Path) -> None:
    outcome = node(modules, "--experimental-vm-modules", "--no-warnings", "link.cjs")
    assert outcome.returncode == 0, outcome.stderr
    assert "linked" in outcome.stdout
