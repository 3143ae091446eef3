"""How much of a process's memory something keeps."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(slots=True)
class Kept:
    """Bytes that were allocated in a block and not freed by its end."""

    bytes: int = 0


@contextmanager
def measured() -> Iterator[Kept]:
    """Measure what the block leaves behind, in all threads of this process."""
    kept = Kept()
    gc.collect()
    tracemalloc.start()
    try:
        yield kept
        gc.collect()
        kept.bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
