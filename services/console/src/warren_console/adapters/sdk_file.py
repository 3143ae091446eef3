"""Where the official JavaScript SDK lies: in an installed npm package, never on a foreign server."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from warren_shared.runtime.errors import StartupError

_IN_PACKAGE = Path("node_modules/centrifuge/dist/centrifuge.js")


def find_sdk(configured: Path | None, starts: Iterable[Path]) -> Path:
    """Return the configured file, else the first found in a start folder or one of its parents.

    Raises StartupError if there is none.
    """
    if configured is not None:
        if not configured.is_file():
            raise StartupError(f"WARREN_CONSOLE_SDK_FILE: {configured} is no file")
        return configured.resolve()
    for start in starts:
        for folder in (start, *start.parents):
            candidate = folder / _IN_PACKAGE
            if candidate.is_file():
                return candidate.resolve()
    raise StartupError("the JavaScript SDK is not installed: run 'npm ci', or set WARREN_CONSOLE_SDK_FILE")
