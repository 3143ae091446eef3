"""``curl -N``: a client that reads lines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

_SECONDS: Final = 10.0


@asynccontextmanager
async def curl(url: str, body: str) -> AsyncIterator[asyncio.StreamReader]:
    """Run curl and read what it prints, for ten seconds at most."""
    options = ("-sN", "-H", "Content-Type: application/json", "--data-binary", body)
    process = await asyncio.create_subprocess_exec("curl", *options, url, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(_SECONDS):
            yield process.stdout
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
