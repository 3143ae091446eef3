"""A wrong setting of any service is one line that names the variable that was set, and exit code 78."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from warren_dev.reference.discovery import SERVICES, service_settings
from warren_shared.runtime.errors import StartupError
from warren_shared.runtime.settings import ServiceSettings, load_settings

ROOT: Final = Path(__file__).parents[2]
DEADLINE: Final = 30.0
ANY_TEXT: Final = {"ops_host", "host", "token_audience", "token_issuer", "dev_token_audience", "allowed_hosts"}
"""Names somebody else knows the truth about: the system, a backend."""
FILES: Final = {"namespaces_file", "store_path", "sdk_file", "dev_token_secret_file"}
SECRETS: Final = {
    "token_hmac_secret",
    "token_hmac_secret_previous",
    "subscription_token_hmac_secret",
    "subscription_token_hmac_secret_previous",
    "dev_token_secret",
    "keys",
}
"""Like files looked at when they are used, which the services' own tests cover."""
WRITTEN: Final[dict[str, tuple[str, ...]]] = {
    "amqp_url": ("nonsense", "http://u:hidden@h/v", "amqp://u:hid/den@h/v", "amqp://u:hidden@h:99999/v", "amqp://"),
    "store_url": (
        "nonsense",
        "mysql://u:hidden@h/v",
        "postgresql://u:hid/den@h/v",
        "postgresql://u:hidden@h:99999/v",
        "postgresql://u:hid@den@h/v",
        "postgresql://u:hidden@h1,h2:x/v",
        "postgresql://u:hidden@h",
        "postgresql://",
    ),
    "allowed_origins": ("a.example", "https://a.example/", "[broken", '["https://a.example", "b"]'),
    "gateway_urls": ("http://a.example", "ws://", "ws://[", "ws://a:port/", "ws://a,nonsense"),
    "token_algorithms": ("none", "HS256,RS256", ",", '["HS1"]'),
    "broker_driver": ("pika", "LANE"),
    "id": ("a b", "a.b", "x" * 65),
    "websocket_path": ("no/slash", "/a b"),
}
"""Wrong values of what has a form of its own, by the field's name."""


def wrong_values(name: str, schema: dict[str, Any]) -> tuple[str, ...]:
    """Return values that a field must refuse, as its schema says."""
    if name in WRITTEN:
        return WRITTEN[name]
    if "enum" in schema:
        return ("nonsense",)
    match schema.get("type"):
        case "boolean":
            return ("perhaps",)
        case "integer" | "number":
            bounds = ((schema.get("minimum"), -1), (schema.get("maximum"), 1), (schema.get("exclusiveMinimum"), 0))
            return ("abc", *(str(bound + step) for bound, step in bounds if bound is not None))
        case _:
            return ()


def fields() -> Iterator[tuple[str, str, tuple[str, ...]]]:
    for service in SERVICES:
        for name, schema in service_settings(service).model_json_schema()["properties"].items():
            yield service, name, wrong_values(name, schema)


CASES = [(service, name, value) for service, name, values in fields() for value in values]


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("WARREN_")]:
        monkeypatch.delenv(name)


def complaint(service: str) -> str:
    with pytest.raises(StartupError) as caught:
        load_settings(service_settings(service))
    assert "\n" not in str(caught.value)
    assert "hid" not in str(caught.value)
    return str(caught.value)


def test_every_setting_that_can_be_wrong_is_in_the_table() -> None:
    without = {name for _, name, values in fields() if not values}

    assert without == ANY_TEXT | FILES | SECRETS


@pytest.mark.parametrize(("service", "name", "value"), CASES)
def test_a_wrong_value_is_one_line_that_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, service: str, name: str, value: str
) -> None:
    variable = f"WARREN_{service}_{name}".upper()
    monkeypatch.setenv(variable, value)

    assert complaint(service).startswith(f"{variable}: ")


@pytest.mark.parametrize("service", SERVICES)
def test_the_common_variable_is_named_where_that_was_set(monkeypatch: pytest.MonkeyPatch, service: str) -> None:
    for name, schema in ServiceSettings.model_json_schema()["properties"].items():
        for value in wrong_values(name, schema):
            monkeypatch.setenv(f"WARREN_{name}".upper(), value)
            assert complaint(service).startswith(f"WARREN_{name.upper()}: ")
        monkeypatch.delenv(f"WARREN_{name}".upper(), raising=False)


@pytest.mark.parametrize("service", SERVICES)
async def test_a_process_told_something_wrong_ends_with_78(tmp_path: Path, service: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WARREN_")}
    environment |= {
        "WARREN_NAMESPACES_FILE": str(ROOT / "infra" / "namespaces.yml"),
        "WARREN_AMQP_URL": "amqp://u:hid/den@h/v",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", f"warren_{service}",
        env=environment, cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(DEADLINE):
        _, err = await process.communicate()

    assert process.returncode == 78
    assert err.decode().startswith(f"warren-{service}: WARREN_AMQP_URL: has no legal port number")
    assert err.count(b"\n") == 1
    assert b"hid" not in err
