"""Finds RabbitMQ's own scripts on this machine, or installs the distribution's package."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

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

INSTALL_COMMAND: Final = "sudo apt-get install -y --no-install-recommends rabbitmq-server"

# The package starts a broker of its own on port 5672, which nobody asked for: policy-rc.d forbids it
# while the package is installed (Debian Policy 9.3.3).
_INSTALL_SCRIPT: Final = """
set -e
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
  printf '#!/bin/sh\\nexit 101\\n' > $policy
  chmod 755 $policy
  trap 'rm -f /usr/sbin/policy-rc.d' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -y -q --no-install-recommends rabbitmq-server
"""


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


def install(say: Callable[[str], None]) -> bool:
    """Install the package with apt if this user may; return whether that was possible.

    Raises SetupError if apt fails.
    """
    prefix = superuser()
    if prefix is None or shutil.which("apt-get") is None:
        return False
    say("installing the package rabbitmq-server (once; takes a minute)")
    done = subprocess.run([*prefix, "sh", "-c", _INSTALL_SCRIPT], check=False, capture_output=True, text=True)
    if done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise SetupError(f"installing rabbitmq-server failed: {''.join(last)}; try: {INSTALL_COMMAND}")
    return True


def docker_answers() -> bool:
    """Whether a Docker engine can be used by this user."""
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "info"], check=False, capture_output=True, timeout=20).returncode == 0


def superuser() -> list[str] | None:
    """Return what to put before a command to run it as root, None if that needs a password."""
    if os.geteuid() == 0:
        return []
    if (
        shutil.which("sudo")
        and subprocess.run(["sudo", "-n", "true"], check=False, capture_output=True).returncode == 0
    ):
        return ["sudo", "-n"]
    return None
