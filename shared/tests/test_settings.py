"""Settings from the environment."""

from __future__ import annotations

import pytest
from pydantic import Field

from warren_shared.runtime.errors import StartupError
from warren_shared.runtime.settings import ServiceSettings, load_settings, service_config


class SampleSettings(ServiceSettings):
    model_config = service_config("sample")

    depth: int = Field(3, ge=1)
    names: tuple[str, ...] = ()


def test_a_services_own_variable_wins_over_the_common_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WARREN_AMQP_URL", "amqp://common/")
    monkeypatch.setenv("WARREN_OPS_HOST", "::1")
    monkeypatch.setenv("WARREN_SAMPLE_AMQP_URL", "amqp://own/")

    settings = load_settings(SampleSettings)

    assert settings.amqp_url.get_secret_value() == "amqp://own/"
    assert settings.ops_host == "::1"


def test_what_only_one_service_knows_is_not_read_from_the_common_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WARREN_DEPTH", "9")

    assert load_settings(SampleSettings).depth == 3


def test_a_wrong_value_is_one_line_that_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WARREN_SAMPLE_DEPTH", "0")

    with pytest.raises(StartupError, match=r"^WARREN_SAMPLE_DEPTH: Input should be greater"):
        load_settings(SampleSettings)


def test_a_list_that_cannot_be_decoded_is_one_line_that_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WARREN_SAMPLE_NAMES", "a,b")

    with pytest.raises(StartupError, match=r"^WARREN_SAMPLE_NAMES: cannot be read$"):
        load_settings(SampleSettings)


def test_the_variable_that_was_set_is_named_however_it_was_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("warren_partitions", "none")

    with pytest.raises(StartupError, match=r"^WARREN_PARTITIONS: "):
        load_settings(SampleSettings)


def test_the_broker_password_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WARREN_AMQP_URL", "amqp://user:hidden@host/")

    assert "hidden" not in repr(load_settings(SampleSettings))
