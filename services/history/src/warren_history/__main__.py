"""Starts history: ``warren-history`` or ``python -m warren_history``."""

from __future__ import annotations

import sys

from warren_history.bootstrap import build
from warren_history.settings import HistorySettings
from warren_shared.runtime.service import run


def main() -> int:
    """Run until a signal says stop, and return the exit code."""
    return run("history", HistorySettings, build)


if __name__ == "__main__":
    sys.exit(main())
