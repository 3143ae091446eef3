"""Every distribution declares what it imports: itself, or by depending on shared, which declares what all use."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
SHARED = REPOSITORY / "shared"
_FOLDERS = [SHARED, *REPOSITORY.glob("services/*"), *REPOSITORY.glob("infra/*")]
DISTRIBUTIONS = sorted(folder for folder in _FOLDERS if (folder / "pyproject.toml").exists())


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(folder: Path) -> set[str]:
    project = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]
    extras = [name for extra in project.get("optional-dependencies", {}).values() for name in extra]
    requirements = [re.split(r"[^\w.-]", each, maxsplit=1)[0] for each in project["dependencies"] + extras]
    names = {canonical(name) for name in requirements}
    return names | declared(SHARED) if "warren-shared" in names else names


def imported(file: Path) -> Iterator[str]:
    """The top-level packages a module imports."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0]


@pytest.mark.parametrize("folder", DISTRIBUTIONS, ids=lambda folder: folder.name)
def test_what_is_imported_is_declared(folder: Path) -> None:
    owners, known = packages_distributions(), declared(folder)
    packages = {name for file in folder.glob("src/**/*.py") for name in imported(file)}
    foreign = packages - set(sys.stdlib_module_names) - {f"warren_{folder.name}"}

    undeclared = {name for name in foreign if not known.intersection(map(canonical, owners.get(name, [name])))}

    assert not undeclared
