"""The API over HTTP, with services that a test answers for."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from .api_world import ApiWorld, running_api


@pytest.fixture
async def world() -> AsyncIterator[ApiWorld]:
    async with running_api() as world:
        yield world
