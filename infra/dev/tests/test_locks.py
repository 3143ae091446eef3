"""The dependency locks say what the distributions ask for, pinned by hash and free of host names."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SERVICES = sorted(path.parent for path in ROOT.glob("services/*/pyproject.toml"))
DEPLOYED = [*SERVICES, ROOT / "infra" / "provision"]
LOCKS = sorted([*ROOT.glob("requirements/*.txt"), *(folder / "requirements.txt" for folder in DEPLOYED)])
PINNED = re.compile(r"^([a-z0-9._-]+)==([^ ;]+)", re.IGNORECASE | re.MULTILINE)


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(lock: Path) -> dict[str, str]:
    return {normal(name): version for name, version in PINNED.findall(lock.read_text())}


def asked_for(folder: Path) -> set[str]:
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    names = {normal(re.split(r"[^\w.-]", dependency, maxsplit=1)[0]) for dependency in project["dependencies"]}
    return {name for name in names if not name.startswith("warren-")}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: str(lock.relative_to(ROOT)))
def test_every_requirement_is_pinned_by_hash_and_no_host_is_named(lock: Path) -> None:
    text = lock.read_text()
    requirements = re.split(r"\n(?=\S)", text)
    assert all("--hash=sha256:" in each for each in requirements if not each.startswith("#"))
    assert "://" not in text


@pytest.mark.parametrize("folder", DEPLOYED, ids=lambda folder: folder.name)
def test_a_services_lock_holds_what_it_and_shared_ask_for(folder: Path) -> None:
    locked = pins(folder / "requirements.txt")
    assert asked_for(folder) | asked_for(ROOT / "shared") <= locked.keys()


@pytest.mark.parametrize("folder", DEPLOYED, ids=lambda folder: folder.name)
def test_what_is_deployed_is_what_was_tested(folder: Path) -> None:
    tested = pins(ROOT / "requirements" / "dev.txt")
    assert pins(folder / "requirements.txt").items() <= tested.items()


def test_what_make_run_installs_is_what_was_tested() -> None:
    assert pins(ROOT / "requirements" / "run.txt").items() <= pins(ROOT / "requirements" / "dev.txt").items()


def test_the_npm_lock_names_no_host() -> None:
    text = (ROOT / "package-lock.json").read_text()
    assert "://" not in text
    assert '"integrity"' in text
