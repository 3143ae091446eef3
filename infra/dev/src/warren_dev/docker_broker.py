"""A private RabbitMQ in a container: its names, the program that runs it, what an earlier one left."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from warren_dev.errors import SetupError
from warren_dev.ports import LOOPBACK
from warren_dev.program import Probe, Program

IMAGE: Final = "rabbitmq:4-management"
LOG_NAME: Final = "rabbitmq.log"
_PORTS_INSIDE: Final = {"amqp": 5672, "management": 15672, "prometheus": 15692}


def container_name(folder: Path) -> str:
    """Return the name of the container of a run folder's broker; `infra/dev/clean.sh` computes the same."""
    return f"warren-{_short_hash(str(folder))}"


def volume_name(folder: Path, password: str) -> str:
    """Return the name of the broker's data: another one for each password.

    A volume outlives the folder that holds the password, and RabbitMQ takes the password over when its
    data is new, never later. A volume, not a folder, since files of a container's user could not be
    deleted by this one.
    """
    return f"{container_name(folder)}-{_short_hash(password)}"


def fetch_image(say: Callable[[str], None]) -> None:
    """Have the image here, or raise SetupError; pulling takes as long as it takes."""
    if _docker("image", "inspect", IMAGE).returncode == 0:
        return
    say(f"pulling the image {IMAGE} (once)")
    done = _docker("pull", "--quiet", IMAGE)
    if done.returncode != 0:
        raise SetupError(f"docker could not pull {IMAGE}: {' '.join(done.stderr.split())}")


def remove_strays(folder: Path, volume: str) -> None:
    """Remove a container that a run left behind, and volumes that no password opens any more."""
    name = container_name(folder)
    _docker("rm", "--force", name)
    found = _docker("volume", "ls", "--quiet", "--filter", f"name={name}").stdout.split()
    if stale := [each for each in found if each != volume]:
        _docker("volume", "rm", *stale)


def docker_program(
    folder: Path, ports: Mapping[str, int], login: Mapping[str, str], volume: str, ready: Probe
) -> Program:
    """Return the program that runs the container. ``login`` has its first USER, PASS and VHOST."""
    name = container_name(folder)
    command = ["docker", "run", "--rm", "--name", name, "--hostname", "warren"]
    for each, port in _PORTS_INSIDE.items():
        command += ["--publish", f"{LOOPBACK}:{ports[each]}:{port}"]
    command += ["--volume", f"{volume}:/var/lib/rabbitmq"]
    command += ["--volume", f"{folder / 'enabled_plugins'}:/etc/rabbitmq/enabled_plugins:ro"]
    for variable in login:
        command += ["--env", f"RABBITMQ_DEFAULT_{variable}"]
    return Program(
        name="rabbitmq",
        command=("sh", "-c", 'docker rm --force "$0" >/dev/null 2>&1; exec "$@"', name, *command, IMAGE),
        environment={**os.environ, **{f"RABBITMQ_DEFAULT_{variable}": value for variable, value in login.items()}},
        ready=ready,
        sweep=("docker", "rm", "--force", name),
        quiet=True,
        log_file=folder / "log" / LOG_NAME,
    )


def _docker(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *arguments], check=False, capture_output=True, text=True)


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
