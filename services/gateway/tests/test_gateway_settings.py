"""Settings: the environment's names, and mistakes told by name."""

from __future__ import annotations

import pytest

from warren_gateway.settings import GatewaySettings
from warren_shared.runtime.errors import StartupError
from warren_shared.runtime.settings import load_settings


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in [name for name in os.environ if name.startswith("WARREN_")]:
        monkeypatch.delenv(name)


def test_defaults_are_those_of_the_client_protocol() -> None:
    settings = load_settings(GatewaySettings)
    assert settings.websocket_path == "/connection/websocket"
    assert (settings.port, settings.message_size_limit, settings.channel_limit) == (8000, 65_536, 128)
    assert (settings.ping_interval, settings.pong_timeout, settings.stale_timeout) == (25.0, 8.0, 10.0)


def test_own_variable_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WARREN_GATEWAY_PORT", "8001")
    monkeypatch.setenv("WARREN_GATEWAY_ALLOWED_ORIGINS", '["https://*.example.com"]')
    settings = load_settings(GatewaySettings)
    assert settings.port == 8001
    assert settings.allowed_origins == ("https://*.example.com",)


@pytest.mark.parametrize(
    ("text", "origins"),
    [
        ("https://a.example", ("https://a.example",)),
        ("https://a.example, http://localhost:8080", ("https://a.example", "http://localhost:8080")),
        ('["https://a.example", "null"]', ("https://a.example", "null")),
        ("*", ("*",)),
        ("*://a.example,https://*.b.example", ("*://a.example", "https://*.b.example")),
    ],
)
def test_origins_are_written_with_commas_or_as_json(
    monkeypatch: pytest.MonkeyPatch, text: str, origins: tuple[str, ...]
) -> None:
    monkeypatch.setenv("WARREN_GATEWAY_ALLOWED_ORIGINS", text)
    assert load_settings(GatewaySettings).allowed_origins == origins


@pytest.mark.parametrize(
    "text", ["https://a.example/", "a.example", "*.a.example", "https://", "https://a.example/page", '["a']
)
def test_an_origin_no_browser_sends_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("WARREN_GATEWAY_ALLOWED_ORIGINS", text)
    with pytest.raises(StartupError, match=r"^WARREN_GATEWAY_ALLOWED_ORIGINS: "):
        load_settings(GatewaySettings)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "70000"),
        ("ID", "a b"),
        ("WEBSOCKET_PATH", "no/slash"),
        ("MESSAGE_SIZE_LIMIT", "12"),
        ("CHANNEL_MAX_LENGTH", "256"),
        ("STALE_TIMEOUT", "0"),
    ],
)
def test_mistake_names_the_variable(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"WARREN_GATEWAY_{name}", value)
    with pytest.raises(StartupError, match=f"^WARREN_GATEWAY_{name}: "):
        load_settings(GatewaySettings)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"PING_INTERVAL": "5"}, "^WARREN_GATEWAY_PING_INTERVAL must be longer than WARREN_GATEWAY_PONG_TIMEOUT$"),
        (
            {"SHUTDOWN_WINDOW": "20"},
            "^WARREN_GATEWAY_SHUTDOWN_TIMEOUT must be longer than WARREN_GATEWAY_SHUTDOWN_WINDOW$",
        ),
    ],
)
def test_settings_must_fit_together(monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], message: str) -> None:
    for name, value in changes.items():
        monkeypatch.setenv(f"WARREN_GATEWAY_{name}", value)
    with pytest.raises(StartupError, match=message):
        load_settings(GatewaySettings)


def test_pings_may_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WARREN_GATEWAY_PING_INTERVAL", "0")
    assert load_settings(GatewaySettings).ping_interval == 0


def test_id_is_made_of_host_and_port_unless_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WARREN_GATEWAY_PORT", "8001")
    assert load_settings(GatewaySettings).gateway_id.endswith("-8001")
    monkeypatch.setenv("WARREN_GATEWAY_ID", "edge-1")
    assert load_settings(GatewaySettings).gateway_id == "edge-1"
