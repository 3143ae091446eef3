"""How much of a process's memory something keeps."""

from __future__ import annotations

import gc
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from typing import Final

_FRAMES: Final = 25
"""How much of the stack is looked at for who allocated: from the event loop to a driver's last line."""
_SHOWN: Final = 5


@dataclass(slots=True)
class Kept:
    """What was allocated in a block and not freed by its end."""

    bytes: int = 0
    where: str = ""
    """The lines that keep most, for who has to find out why it is so much."""


@contextmanager
def measured(*sources: str) -> Iterator[Kept]:
    """Measure what the block leaves behind, in all threads of this process.

    With ``sources``, patterns of file names, only what was allocated by these files or by what they called: other
    threads have work of their own, such as the one that keeps the suite of the end-to-end tests.
    """
    kept = Kept()
    gc.collect()
    tracemalloc.start(_FRAMES if sources else 1)
    try:
        yield kept
        gc.collect()
        snapshot = tracemalloc.take_snapshot()
    finally:
        tracemalloc.stop()
    lines = _by_line(snapshot, sources)
    kept.bytes = lines.total()
    kept.where = "\n".join(f"{line}: {size} bytes" for line, size in lines.most_common(_SHOWN))


def _by_line(snapshot: tracemalloc.Snapshot, sources: tuple[str, ...]) -> Counter[str]:
    """Return how many bytes each line allocated. A file's name is compared once: tracemalloc's own filters do it for
    every frame, which holds an event loop up for longer than a broker may be silent.
    """

    @cache
    def belongs(name: str) -> bool:
        return not sources or any(fnmatch(name, source) for source in sources)

    lines: Counter[str] = Counter()
    for trace in snapshot.traces:
        if any(belongs(frame.filename) for frame in trace.traceback):
            lines[str(trace.traceback[-1])] += trace.size
    return lines
