"""Finds PostgreSQL's own programs on this machine, or installs the distribution's package."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from warren_dev.errors import SetupError
from warren_dev.rabbitmq_package import superuser

_PLACES: Final = (
    ("/usr/lib/postgresql", "*/bin"),  # Debian, Ubuntu
    ("/usr", "pgsql-*/bin"),  # RPM packages
    ("/opt/homebrew/opt", "postgresql@*/bin"),
)
INSTALL_COMMAND: Final = "sudo apt-get install -y --no-install-recommends postgresql"

# The package makes a cluster of its own and starts it on port 5432, which nobody asked for: that is turned
# off while the package is installed, in the file that postgresql-common has for it.
_INSTALL_SCRIPT: Final = """
set -e
export DEBIAN_FRONTEND=noninteractive
conf=/etc/postgresql-common/createcluster.conf
apt-get update -q
apt-get install -y -q --no-install-recommends postgresql-common
cp -p $conf $conf.warren
trap 'mv $conf.warren $conf' EXIT
sed -i 's/^#\\?create_main_cluster.*/create_main_cluster = false/' $conf
apt-get install -y -q --no-install-recommends postgresql
"""


def find_programs() -> Path | None:
    """Return the folder that holds ``postgres`` and ``initdb``, of the newest version; None if there is none."""
    found = [folder for root, pattern in _PLACES for folder in Path(root).glob(pattern) if _serves(folder)]
    if found:
        return max(found, key=_version)
    on_path = shutil.which("postgres")
    folder = Path(on_path).resolve().parent if on_path else None
    return folder if folder and _serves(folder) else None


def install(say: Callable[[str], None]) -> bool:
    """Install the package with apt if this user may; return whether that was possible.

    Raises SetupError if apt fails.
    """
    prefix = superuser()
    if prefix is None or shutil.which("apt-get") is None:
        return False
    say("installing the package postgresql (once; takes a minute)")
    done = subprocess.run([*prefix, "sh", "-c", _INSTALL_SCRIPT], check=False, capture_output=True, text=True)
    if done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise SetupError(f"installing postgresql failed: {''.join(last)}; try: {INSTALL_COMMAND}")
    return True


def main() -> int:
    """See to it that the tests have a PostgreSQL, before their time limits run. Returns an exit code."""
    if os.environ.get("WARREN_TEST_POSTGRES_URL") or find_programs() is not None:
        return 0
    try:
        if install(print):
            return 0
    except SetupError as error:
        print(f"setup: {error}", file=sys.stderr)
        return 1
    print(f"setup: PostgreSQL is not installed, which tests need. Type: {INSTALL_COMMAND}", file=sys.stderr)
    return 1


def _serves(folder: Path) -> bool:
    return all(os.access(folder / name, os.X_OK) for name in ("postgres", "initdb"))


def _version(folder: Path) -> int:
    digits = "".join(character for character in folder.parent.name if character.isdigit())
    return int(digits or 0)


if __name__ == "__main__":
    sys.exit(main())
