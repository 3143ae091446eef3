"""What the supervisor is told about a program, and what it tells of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiohttp

Probe = Callable[[], Awaitable[bool]]
"""Tells whether a program serves; never raises, and has its own deadline."""

LineSink = Callable[[str, str], None]
"""Takes (program, line)."""

_PROBE_TIMEOUT: Final = aiohttp.ClientTimeout(total=2)


@dataclass(frozen=True, slots=True)
class Program:
    """A program to keep running."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    """The whole environment, secrets included."""
    ready: Probe | None = None
    """None: ready as soon as it runs."""
    stop_rank: int = 0
    """Lower ranks are stopped first; those of one rank together."""
    stop_seconds: float = 10.0
    """How long it may take to end after SIGTERM before it is killed."""
    term_again: float | None = None
    """After how many seconds SIGTERM is sent again, for a program that may miss the first; None: never."""
    sweep: tuple[str, ...] = ()
    """A command that is run whenever the process has ended, for what outlives it (a container)."""
    quiet: bool = False
    """Whether its output is kept for error messages only."""
    log_file: Path | None = None
    """A file that its output is added to as well."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How the supervisor waits, in seconds."""

    first_backoff: float = 0.5
    longest_backoff: float = 8.0
    steady: float = 30.0
    """A program that ran so long has recovered: its next crash counts as the first."""
    poll: float = 0.05


@dataclass(frozen=True, slots=True)
class ConfigMistake:
    """A program ended with exit code 78: starting it again would change nothing."""

    program: str
    line: str
    """The last line it wrote."""


class SupervisorError(Exception):
    """A program is not in the state that was asked for; the message is one line."""


def http_ok(url: str) -> Probe:
    """Return a probe that asks for HTTP status 200."""

    async def probe() -> bool:
        try:
            async with aiohttp.ClientSession(timeout=_PROBE_TIMEOUT) as session, session.get(url) as response:
                return response.status == 200
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False

    return probe
