"""Runs auth."""

from __future__ import annotations

import sys

from warren_auth.bootstrap import build
from warren_auth.settings import AuthSettings
from warren_shared.runtime.service import run


def main() -> int:
    """Run until stopped and return the exit code."""
    return run("auth", AuthSettings, build)


if __name__ == "__main__":
    sys.exit(main())
