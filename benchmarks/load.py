"""The caller's side of the load generator and of the bare server: one command at a time, with a deadline."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

DEADLINE = 150.0
HERE = Path(__file__).parent


class Worker:
    """A child process that answers one line with one line."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ask(self, line: str) -> str:
        """Send a line and return the answer."""
        if self._process.stdin is None:
            raise RuntimeError("the worker has no input")
        self._process.stdin.write(line.encode() + b"\n")
        await self._process.stdin.drain()
        return await self.line()

    async def line(self) -> str:
        """Return the next line."""
        if self._process.stdout is None:
            raise RuntimeError("the worker has no output")
        async with asyncio.timeout(DEADLINE):
            answer = await self._process.stdout.readline()
        if not answer:
            raise RuntimeError("the worker ended")
        return answer.decode().strip()

    async def order(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Give the load generator a command and return its answer."""
        answer: dict[str, Any] = json.loads(await self.ask(json.dumps({"do": do, **arguments})))
        return answer


@asynccontextmanager
async def worker(module: str, cores: frozenset[int]) -> AsyncIterator[Worker]:
    """Run one of this folder's programs on some cores while the block runs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(HERE / f"{module}.py"),
        ",".join(map(str, sorted(cores))),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Worker(process)
    finally:
        if process.stdin is not None:
            process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 5)
        except TimeoutError:
            process.kill()
            await process.wait()
