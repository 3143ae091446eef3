"""The reference store keeps the store's promises."""

from __future__ import annotations

import pytest

from warren_history.ports import Store

from .memory_store import MemoryStore
from .store_behaviour import WINDOW, StoreBehaviour


class TestMemoryStore(StoreBehaviour):
    @pytest.fixture
    def store(self) -> Store:
        return MemoryStore(WINDOW)
