"""Installs a package of the distribution, where this user may."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

from warren_dev.errors import SetupError


@dataclass(frozen=True, slots=True)
class DebianPackage:
    """A package that is not to start anything while it is installed."""

    name: str
    script: str
    """Installs it, as root."""

    @property
    def command(self) -> str:
        """What a person types to install it."""
        return f"sudo apt-get install -y --no-install-recommends {self.name}"

    def install(self, say: Callable[[str], None]) -> bool:
        """Install it with apt if this user may; return whether that was possible.

        Raises SetupError if apt fails.
        """
        prefix = superuser()
        if prefix is None or shutil.which("apt-get") is None:
            return False
        say(f"installing the package {self.name} (once; takes a minute)")
        done = subprocess.run([*prefix, "sh", "-c", self.script], check=False, capture_output=True, text=True)
        if done.returncode != 0:
            last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
            raise SetupError(f"installing {self.name} failed: {''.join(last)}; try: {self.command}")
        return True


def without_starting(name: str) -> str:
    """Return a script that installs a package whose service is not to run.

    policy-rc.d forbids it while the package is installed (Debian Policy 9.3.3).
    """
    return f"""
set -e
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
  printf '#!/bin/sh\\nexit 101\\n' > $policy
  chmod 755 $policy
  trap 'rm -f /usr/sbin/policy-rc.d' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -y -q --no-install-recommends {name}
"""


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
