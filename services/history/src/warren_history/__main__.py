"""Starts history: ``warren-history`` or ``python -m warren_history``; with a command, does that instead."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from warren_history.bootstrap import build
from warren_history.commands import add_commands, perform
from warren_history.settings import HistorySettings
from warren_shared.runtime.service import run


def main(argv: Sequence[str] | None = None) -> int:
    """Run until a signal says stop, or carry out a command, and return the exit code."""
    parser = argparse.ArgumentParser(prog="warren-history", description="Without a command, run history.")
    add_commands(parser)
    arguments = parser.parse_args(argv)
    return run("history", HistorySettings, build) if arguments.command is None else perform(arguments)


if __name__ == "__main__":
    sys.exit(main())
