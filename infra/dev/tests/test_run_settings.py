from __future__ import annotations

from pathlib import Path

import pytest

from warren_dev.errors import SetupError
from warren_dev.settings import RunSettings, read_settings

ROOT = Path(__file__).parents[3]


def settings(**environment: str) -> RunSettings:
    return read_settings(environment, ROOT)


def test_nothing_need_be_set() -> None:
    found = settings()
    assert (found.port, found.gateways, found.console_port, found.amqp_url) == (8000, 1, 8080, None)
    assert found.namespaces_file == ROOT / "infra" / "namespaces.yml"
    assert found.namespaces.by_name["chat"].durable
    assert not found.namespaces.by_name["live"].durable


def test_an_empty_variable_counts_as_unset() -> None:
    assert settings(PORT="", GATEWAYS="", WARREN_AMQP_URL="", WARREN_NAMESPACES_FILE="") == settings()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("PORT", "abc", "PORT=abc: must be a number from 1 to 65535"),
        ("PORT", "0", "PORT=0: must be a number from 1 to 65535"),
        ("GATEWAYS", "11", "GATEWAYS=11: must be a number from 1 to 10"),
        ("CONSOLE_PORT", "70000", "CONSOLE_PORT=70000: must be a number from 1 to 65535"),
        ("WARREN_PARTITIONS", "-1", "WARREN_PARTITIONS=-1: must be a number from 1 to 256"),
        ("WARREN_HISTORY_OPS_PORT", "x", "WARREN_HISTORY_OPS_PORT=x: must be a number"),
        ("WARREN_AMQP_URL", "localhost:5672", "WARREN_AMQP_URL is no URL like amqp://"),
        ("WARREN_AUTH_TOKEN_HMAC_SECRET", "short", "WARREN_AUTH_TOKEN_HMAC_SECRET must have at least 32 bytes"),
        ("WARREN_NAMESPACES_FILE", "/no/such.yml", "namespace file /no/such.yml: No such file or directory"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_variable(name: str, value: str, message: str) -> None:
    with pytest.raises(SetupError) as caught:
        settings(**{name: value})
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_the_last_gateways_port_must_exist_too() -> None:
    with pytest.raises(SetupError, match="PORT=65535: must be a number from 1 to 65534"):
        settings(PORT="65535", GATEWAYS="2")


def test_an_invalid_namespace_file_is_told_with_its_key(tmp_path: Path) -> None:
    file = tmp_path / "namespaces.yml"
    file.write_text("namespaces: [{name: chat, histroy_size: 3}]")
    with pytest.raises(SetupError, match=r"namespaces.yml: namespaces\[chat\].histroy_size: is no known option"):
        settings(WARREN_NAMESPACES_FILE=str(file))


def test_traces_go_elsewhere_only_if_the_environment_says_so() -> None:
    assert not settings().exports_elsewhere
    assert settings(OTEL_EXPORTER_OTLP_ENDPOINT="http://collector:4318").exports_elsewhere
