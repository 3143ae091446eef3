"""What every source file is held to, beyond what ruff and mypy see."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
_PROJECTS = [project for pattern in ("shared", "services/*", "infra/*") for project in REPOSITORY.glob(f"{pattern}/")]
DISTRIBUTIONS = sorted(project for project in _PROJECTS if (project / "pyproject.toml").exists())
SOURCES = sorted(file for folder in DISTRIBUTIONS for file in folder.glob("src/**/*.py"))
TESTS = sorted(file for folder in [*DISTRIBUTIONS, REPOSITORY] for file in folder.glob("tests/**/*.py"))
LONGEST_MODULE = 400
VAGUE = re.compile(r"(^|_)(utils?|helpers?|common|misc|manager)(_|$)")


def relative(file: Path) -> str:
    return str(file.relative_to(REPOSITORY))


def test_there_are_sources_of_every_distribution() -> None:
    assert {folder.name for folder in DISTRIBUTIONS} >= {
        "shared",
        "gateway",
        "api",
        "auth",
        "presence",
        "history",
        "console",
    }
    assert all(any(file.is_relative_to(folder) for file in SOURCES) for folder in DISTRIBUTIONS)


def test_every_module_says_what_it_is_responsible_for() -> None:
    silent = [relative(file) for file in SOURCES if not ast.get_docstring(ast.parse(file.read_text("utf-8")))]

    assert not silent


def test_messages_between_processes_are_contracts() -> None:
    """Only then are they recorded, documented, and known to be read by other versions."""
    named = re.compile(r"^ {4}type_name\b", re.MULTILINE)
    elsewhere = [relative(file) for file in SOURCES if named.search(file.read_text("utf-8"))]

    assert {str(Path(name).parent) for name in elsewhere} == {"shared/src/warren_shared/contracts"}


def test_every_module_is_short_enough_to_be_read_at_once() -> None:
    lengths = {relative(file): len(file.read_text("utf-8").splitlines()) for file in [*SOURCES, *TESTS]}

    assert not {name: length for name, length in lengths.items() if length > LONGEST_MODULE}


def test_every_module_is_named_for_its_subject() -> None:
    assert not [relative(file) for file in [*SOURCES, *TESTS] if VAGUE.search(file.stem)]


def test_test_modules_have_names_of_their_own() -> None:
    places = Counter(file.name for file in TESTS if file.name.startswith("test_"))

    assert not [name for name, count in places.items() if count > 1]


@pytest.mark.parametrize("folder", DISTRIBUTIONS, ids=relative)
def test_one_name_runs_through_a_distribution(folder: Path) -> None:
    package = f"warren_{folder.name}"

    assert [path.name for path in (folder / "src").iterdir() if (path / "__init__.py").exists()] == [package]
    assert (folder / "src" / package / "py.typed").exists()
    assert f'name = "warren-{folder.name}"' in (folder / "pyproject.toml").read_text("utf-8")
    assert (folder / "README.md").exists()
