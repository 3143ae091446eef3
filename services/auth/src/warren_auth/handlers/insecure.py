"""Saying again and again that anybody may do anything."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

PAUSE_SECONDS: Final = 60.0
_log = structlog.get_logger()


async def warn_for_ever() -> None:
    """Log a warning now and each minute, until cancelled: nobody is to forget it where it does harm."""
    while True:
        _log.warning("insecure_mode", meaning="everybody is let in without a token and may do what namespaces offer")
        await asyncio.sleep(PAUSE_SECONDS)
