"""Starting the containers: taken ports are found before anything is built, and the end says how to go on."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from warren_dev.ports import LOOPBACK, any_free

ROOT = Path(__file__).parents[3]
PORTS = ("PORT", "CONSOLE_PORT", "AMQP_PORT", "MANAGEMENT_PORT")
DOCKER = """#!/bin/sh
echo "$*" >>calls
[ "$*" != "compose ps --quiet" ] || cat running
"""


class Checkout:
    """A folder with the script, and a docker that only notes how it was called."""

    def __init__(self, root: Path) -> None:
        self._root = root
        (root / "infra/compose").mkdir(parents=True)
        shutil.copy(ROOT / "infra/compose/up.sh", root / "infra/compose")
        (root / "bin").mkdir()
        (root / "bin/docker").write_text(DOCKER)
        (root / "bin/docker").chmod(0o755)
        (root / "running").touch()
        self.ports = {name: any_free() for name in PORTS}
        settings = {**self.ports, "COMPOSE_PROFILES": "console"}
        (root / ".env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))

    def runs_already(self) -> None:
        (self._root / "running").write_text("a container's id\n")

    def up(self, **environment: str) -> subprocess.CompletedProcess[str]:
        inherited = {name: value for name, value in os.environ.items() if name not in (*PORTS, "COMPOSE_PROFILES")}
        path = f"{self._root / 'bin'}:{os.environ['PATH']}"
        return subprocess.run(
            [self._root / "infra/compose/up.sh"],
            env={**inherited, "PATH": path, **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def built(self) -> bool:
        return "compose up --build --detach --wait" in (self._root / "calls").read_text()


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_the_end_says_where_everything_is_and_how_to_get_a_token(checkout: Checkout) -> None:
    done = checkout.up()
    assert done.returncode == 0
    assert f"http://localhost:{checkout.ports['CONSOLE_PORT']}\n" in done.stdout
    assert f"ws://localhost:{checkout.ports['PORT']}/connection/websocket\n" in done.stdout
    assert "make compose-token USER=alice" in done.stdout
    assert f"@127.0.0.1:{checkout.ports['AMQP_PORT']}/warren" in done.stdout


@pytest.mark.parametrize("name", PORTS)
def test_a_port_that_is_taken_is_told_before_anything_is_built(checkout: Checkout, name: str) -> None:
    with socket.create_server((LOOPBACK, checkout.ports[name])):
        done = checkout.up()
    assert done.returncode == 1
    assert done.stderr == (
        f"port {checkout.ports[name]} is in use by another program: set {name} to a free port, here or in .env\n"
    )
    assert not checkout.built


def test_the_environment_moves_a_port_as_it_does_for_compose(checkout: Checkout) -> None:
    elsewhere = str(any_free())
    with socket.create_server((LOOPBACK, checkout.ports["AMQP_PORT"])):
        done = checkout.up(AMQP_PORT=elsewhere)
    assert done.returncode == 0
    assert f"@127.0.0.1:{elsewhere}/warren" in done.stdout


def test_containers_that_run_already_may_hold_their_ports(checkout: Checkout) -> None:
    checkout.runs_already()
    with socket.create_server((LOOPBACK, checkout.ports["PORT"])):
        assert checkout.up().returncode == 0
    assert checkout.built


def test_a_console_that_compose_does_not_start_needs_no_port_and_is_not_promised(checkout: Checkout) -> None:
    with socket.create_server((LOOPBACK, checkout.ports["CONSOLE_PORT"])):
        done = checkout.up(COMPOSE_PROFILES="")
    assert done.returncode == 0
    assert "http://localhost" not in done.stdout
    assert "COMPOSE_PROFILES" in done.stdout
