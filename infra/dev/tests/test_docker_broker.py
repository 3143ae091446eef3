"""A broker in a container: what is kept under which name, and what is removed. The engine is a small program here."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from warren_dev.docker_broker import (
    IMAGE,
    container_name,
    docker_program,
    fetch_image,
    remove_strays,
    volume_name,
)
from warren_dev.errors import SetupError
from warren_dev.ledger import only_run

ROOT = Path(__file__).parents[3]
PORTS = {"amqp": 1, "management": 2, "prometheus": 3}
ENGINE = """#!/bin/sh
# Keeps volumes as files of $ENGINE, and notes what was asked.
echo "$*" >>"$ENGINE.calls"
case "$1 $2" in
  "volume ls") ls "$ENGINE" | grep -- "${5#name=}" || true ;;
  "volume rm") shift 2; cd "$ENGINE" && rm "$@" ;;
  "image inspect") [ -e "$ENGINE.image" ] ;;
  "pull --quiet") echo "no registry" >&2; [ -e "$ENGINE.registry" ] ;;
esac
"""


class Engine:
    """Stands for a Docker engine and what it keeps."""

    def __init__(self, folder: Path) -> None:
        self._volumes = folder / "volumes"
        self._volumes.mkdir()
        bin_folder = folder / "bin"
        bin_folder.mkdir()
        (bin_folder / "docker").write_text(ENGINE)
        (bin_folder / "docker").chmod(0o755)
        self.environment = {"PATH": f"{bin_folder}:{os.environ['PATH']}", "ENGINE": str(self._volumes)}

    def keep(self, *names: str) -> None:
        for name in names:
            (self._volumes / name).touch()

    def has(self, thing: str) -> None:
        self._volumes.with_suffix(f".{thing}").touch()

    @property
    def volumes(self) -> set[str]:
        return {file.name for file in self._volumes.iterdir()}

    @property
    def calls(self) -> list[str]:
        return self._volumes.with_suffix(".calls").read_text().splitlines()


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    folder = tmp_path / "engine"
    folder.mkdir()
    engine = Engine(folder)
    for name, value in engine.environment.items():
        monkeypatch.setenv(name, value)
    return engine


async def never() -> bool:
    return False


def test_data_that_another_password_opens_is_not_used_again(tmp_path: Path) -> None:
    """Else a run would not start after its folder was deleted: RabbitMQ keeps the first password it was given."""
    assert volume_name(tmp_path, "one") == volume_name(tmp_path, "one")
    assert volume_name(tmp_path, "one") != volume_name(tmp_path, "two")
    command = docker_program(tmp_path, PORTS, {"USER": "x", "PASS": "one"}, "the-volume", never).command
    assert "the-volume:/var/lib/rabbitmq" in command


def test_the_password_is_not_in_the_command(tmp_path: Path) -> None:
    program = docker_program(tmp_path, PORTS, {"USER": "x", "PASS": "hidden"}, "v", never)
    assert "hidden" not in " ".join(program.command)
    assert program.environment["RABBITMQ_DEFAULT_PASS"] == "hidden"


def test_the_containers_output_is_kept_where_errors_point_to(tmp_path: Path) -> None:
    program = docker_program(tmp_path, PORTS, {}, "v", never)
    assert program.log_file is not None
    assert program.log_file.parent == tmp_path / "log"


def test_volumes_of_the_folder_that_no_password_opens_are_removed(engine: Engine, tmp_path: Path) -> None:
    ours, before, foreign = volume_name(tmp_path, "now"), volume_name(tmp_path, "before"), "warren-of-somebody-else"
    engine.keep(ours, before, container_name(tmp_path), foreign)
    remove_strays(tmp_path, ours)
    assert engine.volumes == {ours, foreign}
    assert f"rm --force {container_name(tmp_path)}" in engine.calls


def test_an_image_that_is_here_is_not_pulled(engine: Engine) -> None:
    engine.has("image")
    fetch_image(print)
    assert engine.calls == [f"image inspect {IMAGE}"]


def test_an_image_that_cannot_be_pulled_is_one_line(engine: Engine) -> None:
    with pytest.raises(SetupError, match=f"^docker could not pull {IMAGE}: no registry$"):
        fetch_image(print)
    engine.has("registry")
    fetch_image(print)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the script of ``make clean`` and what it shall remove."""
    root = tmp_path / "checkout"
    (root / "infra/dev").mkdir(parents=True)
    shutil.copy(ROOT / "infra/dev/clean.sh", root / "infra/dev")
    for name in (".run/rabbitmq", ".venv", "node_modules"):
        (root / name).mkdir(parents=True)
    return root


def clean(checkout: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([checkout / "infra/dev/clean.sh"], capture_output=True, text=True, check=False)


def test_cleaning_leaves_neither_files_nor_container_nor_volumes(engine: Engine, checkout: Path) -> None:
    folder = checkout.resolve() / ".run/rabbitmq"
    engine.keep(volume_name(folder, "one"), container_name(folder), "warren-of-somebody-else")
    assert clean(checkout).returncode == 0
    assert [file.name for file in checkout.iterdir()] == ["infra"]
    assert engine.volumes == {"warren-of-somebody-else"}
    assert f"rm --force {container_name(folder)}" in engine.calls


def test_cleaning_leaves_a_folder_alone_that_warren_runs_from(engine: Engine, checkout: Path) -> None:
    folder = checkout.resolve() / ".run/rabbitmq"
    engine.keep(volume_name(folder, "one"))
    with only_run(checkout / ".run"):
        done = clean(checkout)
    assert (done.returncode, done.stderr) == (
        1,
        "Warren runs from this folder: stop it first with Ctrl-C there\n",
    )
    assert folder.exists()
    assert engine.volumes
