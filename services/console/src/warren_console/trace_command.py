"""Prints a trace of the console's store as a waterfall: ``python -m warren_console.trace_command``."""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import shutil
import sys
import time
from collections.abc import Sequence
from typing import Final, TextIO

import aiohttp
from pydantic import ValidationError

from warren_console.adapters.terminal import Terminal, draw
from warren_console.adapters.trace_api import LAST
from warren_console.adapters.trace_view import TraceView

DEFAULT_URL: Final = "http://127.0.0.1:8080"
SETTLING_SECONDS: Final = 1.5
"""Warren's exporters send what they have every half second."""

_TIMEOUT_SECONDS: Final = 10.0
_TRACE_ID: Final = re.compile(r"[0-9a-f]{32}")


class TraceCommandError(Exception):
    """The trace cannot be shown; the message is one line for the user."""


def main(argv: Sequence[str] | None = None) -> int:
    """Print one trace; return 0, or 1 with a line on standard error if there is none."""
    arguments = _parser().parse_args(argv)
    try:
        view = asyncio.run(fetch_settled(arguments.url, arguments.trace_id))
    except TraceCommandError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write("\n".join(draw(view, _terminal(sys.stdout))) + "\n")
    return 0


async def fetch_settled(url: str, trace_id: str, *, settling: float = SETTLING_SECONDS) -> TraceView:
    """Ask for a trace; if it ended less than ``settling`` seconds ago, ask again when all exporters had time."""
    view = await fetch(url, trace_id)
    age = time.time() - (view.start_unix_ms + view.duration_ms) / 1000
    if 0 <= age < settling:
        await asyncio.sleep(settling - age)
        view = await fetch(url, view.trace_id)
    return view


async def fetch(url: str, trace_id: str) -> TraceView:
    """Ask the console at ``url`` for a trace. Raises TraceCommandError."""
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"{url.rstrip('/')}/api/traces/{trace_id}") as response,
        ):
            if response.status == 404:
                raise TraceCommandError(_absent(trace_id))
            if response.status != 200:
                raise TraceCommandError(f"the console at {url} answered {response.status}")
            return TraceView.model_validate_json(await response.read())
    except (aiohttp.ClientError, TimeoutError) as error:
        raise TraceCommandError(f"no console answers at {url}: is 'make run' running? ({error})") from error
    except ValidationError as error:
        raise TraceCommandError(f"what answers at {url} is no console") from error


def _absent(trace_id: str) -> str:
    if trace_id == LAST:
        return "no publication has been traced yet: publish to a durable channel, or with a traceparent, and try again"
    return f"the trace store does not hold {trace_id}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="trace_command", description="Show a trace as a waterfall.")
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "trace_id", nargs="?", type=_trace_id, default=LAST, metavar="TRACE_ID", help="32 hexadecimal digits"
    )
    which.add_argument("--last", action="store_true", help="the last publication's trace (the default)")
    url = os.environ.get("WARREN_CONSOLE_URL", DEFAULT_URL)
    parser.add_argument("--url", default=url, help="the console's address (default: %(default)s)")
    return parser


def _trace_id(text: str) -> str:
    if text != LAST and not _TRACE_ID.fullmatch(text):
        raise argparse.ArgumentTypeError("a trace id is 32 hexadecimal digits")
    return text


def _terminal(stream: TextIO) -> Terminal:
    return Terminal(
        width=shutil.get_terminal_size((100, 24)).columns,
        unicode=(stream.encoding or "").lower().replace("-", "").startswith("utf"),
        colour=stream.isatty() and "NO_COLOR" not in os.environ,
    )


if __name__ == "__main__":
    sys.exit(main())
