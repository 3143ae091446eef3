"""The secret that connection tokens are signed with: the environment's, else one that is made and kept."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

from warren_dev.secret_files import kept_secret, write_private

VARIABLE: Final = "WARREN_AUTH_TOKEN_HMAC_SECRET"


def secret_in_force(run_dir: Path, given: str | None) -> Path:
    """Return the file that holds a run's secret: ``given``, or if that is None the kept one."""
    file = _given_file(run_dir)
    if given is None:
        file.unlink(missing_ok=True)
        kept_secret(_kept_file(run_dir))
        return _kept_file(run_dir)
    write_private(file, given)
    return file


def current_secret(run_dir: Path, given: str | None) -> str:
    """Return ``given``, else the secret of the run from this folder, else the one the next run will use."""
    file = _given_file(run_dir)
    return given or (file.read_text("utf-8") if file.exists() else kept_secret(_kept_file(run_dir)))


def _kept_file(run_dir: Path) -> Path:
    return run_dir / "token-secret"


def _given_file(run_dir: Path) -> Path:
    return run_dir / "token-secret-given"


def main() -> int:
    """Print the secret, for ``make token``."""
    sys.stdout.write(current_secret(Path(".run"), os.environ.get(VARIABLE)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
