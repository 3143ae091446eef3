"""Runs the API."""

from __future__ import annotations

import sys

from warren_api.bootstrap import build
from warren_api.settings import ApiSettings
from warren_shared.runtime.service import run


def main() -> int:
    """Run until stopped and return the exit code."""
    return run("api", ApiSettings, build)


if __name__ == "__main__":
    sys.exit(main())
