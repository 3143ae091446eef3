"""A small disk of one's own that can be filled: a tmpfs, which only root may mount."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_CHUNK: Final = b"\0" * 65_536
_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class SmallDisk:
    """A mounted disk."""

    folder: Path

    @contextmanager
    def full(self) -> Iterator[None]:
        """Leave no byte free on it while the block runs."""
        ballast = self.folder / "ballast"
        try:
            with ballast.open("wb", buffering=0) as file:
                _fill(file.fileno())
            yield
        finally:
            ballast.unlink()


def _fill(descriptor: int) -> None:
    size = len(_CHUNK)
    while size:
        try:
            os.write(descriptor, _CHUNK[:size])
        except OSError:
            size //= 2


@asynccontextmanager
async def mounted(folder: Path, *, mebibytes: int) -> AsyncIterator[SmallDisk | None]:
    """Mount a disk of that size while the block runs; yield None if this user may not."""
    await asyncio.to_thread(folder.mkdir, parents=True)
    if not await _run("mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(folder)):
        yield None
        return
    try:
        yield SmallDisk(folder)
    finally:
        await _run("umount", "--lazy", str(folder))


async def _run(*command: str) -> bool:
    """Run a command; return whether it is there and does what it is told."""
    quiet = asyncio.subprocess.DEVNULL
    try:
        process = await asyncio.create_subprocess_exec(*command, stdin=quiet, stdout=quiet, stderr=quiet)
    except OSError:
        return False
    async with asyncio.timeout(_SECONDS):
        return await process.wait() == 0
