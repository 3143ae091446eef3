"""Finds RabbitMQ's own scripts on this machine, or installs the distribution's package."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from warren_dev.debian_package import DebianPackage, without_starting
from warren_dev.errors import SetupError

_PLACES: Final = (
    "/usr/lib/rabbitmq/bin",  # Debian, Ubuntu, and the packages RabbitMQ's makers build for them
    "/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin",  # RPM packages
    "/opt/rabbitmq/sbin",  # the container image, the generic build
    "/opt/homebrew/opt/rabbitmq/sbin",
    "/usr/local/opt/rabbitmq/sbin",
)
"""Not /usr/sbin: the scripts there switch to the system's user and its node."""

HOME_VARIABLE: Final = "WARREN_RABBITMQ_HOME"
"""Names the folder of the RabbitMQ to use, whatever else is installed; ``sbin`` is in it, as in the generic build."""

# The package starts a broker of its own on port 5672, which nobody asked for.
PACKAGE: Final = DebianPackage("rabbitmq-server", without_starting("rabbitmq-server"))


def find_scripts(places: Iterable[str] = _PLACES) -> Path | None:
    """Return the folder that holds ``rabbitmq-server``, None if RabbitMQ is not installed.

    HOME_VARIABLE goes before all places. Raises SetupError if there is no RabbitMQ where it says.
    """
    if home := os.environ.get(HOME_VARIABLE):
        scripts = Path(home).resolve() / "sbin"
        if not os.access(scripts / "rabbitmq-server", os.X_OK):
            raise SetupError(f"{HOME_VARIABLE}={home}: there is no sbin/rabbitmq-server that can be run")
        return scripts
    for pattern in places:
        root, _, rest = pattern.partition("*")
        found = sorted(Path(root).parent.glob(f"{Path(root).name}*{rest}")) if rest else [Path(pattern)]
        for folder in reversed(found):
            if os.access(folder / "rabbitmq-server", os.X_OK):
                return folder
    return None


def find_epmd() -> str | None:
    """Return Erlang's port mapper, which packages put beside ``erl`` or deep inside Erlang."""
    if on_path := shutil.which("epmd"):
        return on_path
    erl = shutil.which("erl")
    if erl is None:
        return None
    inside = sorted(Path(erl).resolve().parent.parent.glob("erts-*/bin/epmd"))
    return str(inside[-1]) if inside else None


def docker_answers() -> bool:
    """Whether a Docker engine can be used by this user."""
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "info"], check=False, capture_output=True, timeout=20).returncode == 0
