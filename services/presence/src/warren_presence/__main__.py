"""Runs presence."""

from __future__ import annotations

import sys

from warren_presence.bootstrap import build
from warren_presence.settings import PresenceSettings
from warren_shared.runtime.service import run


def main() -> int:
    """Run until stopped and return the exit code."""
    return run("presence", PresenceSettings, build)


if __name__ == "__main__":
    sys.exit(main())
