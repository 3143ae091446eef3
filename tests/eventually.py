"""Waiting for a state that no event announces, with a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

_POLL_SECONDS = 0.01


async def eventually(holds: Callable[[], bool | Awaitable[bool]], *, deadline: float = 10.0, what: str = "") -> None:
    """Return as soon as ``holds()`` does; fail the test if it does not within ``deadline`` seconds."""
    try:
        async with asyncio.timeout(deadline):
            while True:
                result = holds()
                if result if isinstance(result, bool) else await result:
                    return
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        message = f"not within {deadline} s: {what or holds}"
        raise AssertionError(message) from None
