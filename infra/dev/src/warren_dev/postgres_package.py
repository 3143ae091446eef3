"""Finds PostgreSQL's own programs on this machine, or installs the distribution's package."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Final

from warren_dev.debian_package import DebianPackage
from warren_dev.errors import SetupError

_PLACES: Final = (
    ("/usr/lib/postgresql", "*/bin"),  # Debian, Ubuntu
    ("/usr", "pgsql-*/bin"),  # RPM packages
    ("/opt/homebrew/opt", "postgresql@*/bin"),
)

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
PACKAGE: Final = DebianPackage("postgresql", _INSTALL_SCRIPT)


def find_programs() -> Path | None:
    """Return the folder that holds ``postgres`` and ``initdb``, of the newest version; None if there is none."""
    found = [folder for root, pattern in _PLACES for folder in Path(root).glob(pattern) if _serves(folder)]
    if found:
        return max(found, key=_version)
    on_path = shutil.which("postgres")
    folder = Path(on_path).resolve().parent if on_path else None
    return folder if folder and _serves(folder) else None


def main() -> int:
    """See to it that the tests have a PostgreSQL, before their time limits run. Returns an exit code."""
    if os.environ.get("WARREN_TEST_POSTGRES_URL") or find_programs() is not None:
        return 0
    try:
        if PACKAGE.install(print):
            return 0
    except SetupError as error:
        print(f"setup: {error}", file=sys.stderr)
        return 1
    print(f"setup: PostgreSQL is not installed, which tests need. Type: {PACKAGE.command}", file=sys.stderr)
    return 1


def _serves(folder: Path) -> bool:
    return all(os.access(folder / name, os.X_OK) for name in ("postgres", "initdb"))


def _version(folder: Path) -> int:
    digits = "".join(character for character in folder.parent.name if character.isdigit())
    return int(digits or 0)


if __name__ == "__main__":
    sys.exit(main())
