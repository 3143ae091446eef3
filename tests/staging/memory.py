"""How much of a process's memory something keeps."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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
    threads have work of their own.
    """
    kept = Kept()
    filters = [tracemalloc.Filter(inclusive=True, filename_pattern=each, all_frames=True) for each in sources]
    gc.collect()
    tracemalloc.start(_FRAMES if sources else 1)
    try:
        yield kept
        gc.collect()
        lines = tracemalloc.take_snapshot().filter_traces(filters).statistics("lineno")
        kept.bytes = sum(line.size for line in lines)
        kept.where = "\n".join(map(str, lines[:_SHOWN]))
    finally:
        tracemalloc.stop()
