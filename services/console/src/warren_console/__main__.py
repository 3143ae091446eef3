"""Starts the console."""

from __future__ import annotations

import sys

from warren_console.bootstrap import build
from warren_console.settings import ConsoleSettings
from warren_shared.runtime.service import run


def main() -> int:
    """Run the console until it is told to stop; return the exit code."""
    return run("console", ConsoleSettings, build, uses_bus=False)


if __name__ == "__main__":
    sys.exit(main())
