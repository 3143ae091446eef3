"""What the API refuses to start with."""

from __future__ import annotations

import pytest

from warren_api.settings import ApiSettings, api_keys_of
from warren_shared.runtime.errors import StartupError

KEY = "0123456789abcdef"


@pytest.mark.parametrize("keys", ["", " , ", "short", f"{KEY},short"])
def test_without_good_keys_it_does_not_start(monkeypatch: pytest.MonkeyPatch, keys: str) -> None:
    monkeypatch.setenv("WARREN_API_KEYS", keys)
    with pytest.raises(StartupError, match="WARREN_API_KEYS") as raised:
        api_keys_of(ApiSettings())
    assert "short" not in str(raised.value)


@pytest.mark.parametrize("keys", [f"{KEY},another-key-of-16-b", f'["{KEY}"]'])
def test_keys_are_a_list(monkeypatch: pytest.MonkeyPatch, keys: str) -> None:
    monkeypatch.setenv("WARREN_API_KEYS", keys)
    assert api_keys_of(ApiSettings()).accept(KEY)
