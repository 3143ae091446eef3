"""The namespace file, kept up to date: a valid change is taken over, an invalid one reported."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import structlog

from warren_shared.contracts.namespaces import NamespaceFileError, Namespaces, parse_namespaces
from warren_shared.observability.metrics import MetricSpec, Reading
from warren_shared.runtime.errors import StartupError

_POLL_SECONDS: Final = 1.0
_log = structlog.get_logger()

RELOADS: Final = MetricSpec("warren_namespace_reloads", "counter", "Namespace file changes taken over.")
RELOAD_FAILURES: Final = MetricSpec(
    "warren_namespace_reload_failures",
    "counter",
    "Namespace files invalid or gone; the last good one stays. Mend the file.",
)
CATALOGUE: Final = (RELOADS, RELOAD_FAILURES)


class NamespaceWatcher:
    """Holds the last good namespaces and tells subscribers of new ones."""

    def __init__(self, path: Path) -> None:
        """Read the file. Raises StartupError if it is missing or invalid."""
        self._path = path
        self._callbacks: list[Callable[[Namespaces], None]] = []
        self._reloads = self._failures = 0
        self._missing = False
        try:
            self._text = self._seen = path.read_text("utf-8")
            self._current = parse_namespaces(self._text)
        except (OSError, UnicodeDecodeError) as error:
            raise StartupError(f"namespace file {path}: {error}") from error
        except NamespaceFileError as error:
            raise StartupError(f"namespace file {path}: {error}") from error

    @property
    def current(self) -> Namespaces:
        """The namespaces in force."""
        return self._current

    def subscribe(self, callback: Callable[[Namespaces], None]) -> None:
        """Call ``callback`` with each new set of namespaces, in the event loop."""
        self._callbacks.append(callback)

    def reload(self) -> None:
        """Read the file now; take a change over that two reads in succession have shown.

        A file that is being written is often valid YAML, with half of its namespaces. An invalid change
        keeps the last good namespaces, and so does one that removes them all: no file of a running
        system means that.
        """
        try:
            text = self._path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            self._reject(error)
            return
        if text == self._text or text != self._seen:
            self._seen = text
            return
        self._text = text
        try:
            namespaces = parse_namespaces(text)
            _check_not_emptied(self._current, namespaces)
        except NamespaceFileError as error:
            self._reject(error)
            return
        self._current = namespaces
        self._reloads += 1
        _log.info("namespaces_reloaded", namespaces=list(self._current))
        for callback in self._callbacks:
            callback(self._current)

    def _reject(self, error: Exception) -> None:
        self._failures += 1
        _log.error("namespace_file_rejected", file=str(self._path), reason=str(error))

    async def watch(self) -> None:
        """Look at the file every second until cancelled.

        The text is compared, not the modification time: mounted configuration may keep its time.
        """
        while True:
            await asyncio.sleep(_POLL_SECONDS)
            self.look()

    def look(self) -> None:
        """Read the file if it is there. While it is gone, that is reported and counted once."""
        if self._path.exists():
            self._missing = False
            self.reload()
        elif not self._missing:
            self._missing = True
            self._failures += 1
            _log.error("namespace_file_missing", file=str(self._path))

    def readings(self) -> Iterable[Reading]:
        """Return the reload counters."""
        return Reading(RELOADS, self._reloads), Reading(RELOAD_FAILURES, self._failures)


def _check_not_emptied(before: Namespaces, after: Namespaces) -> None:
    if any(before) and not any(after):
        raise NamespaceFileError("namespaces: names none any more; restart the services if that is meant")
