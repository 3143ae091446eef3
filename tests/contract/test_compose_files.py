"""docker-compose.yml and the .env that `make compose-env` writes fit together, and keep secrets where they belong."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from warren_api.settings import ApiSettings
from warren_dev.docker_broker import IMAGE
from warren_gateway.settings import GatewaySettings
from warren_history.settings import HistorySettings
from warren_history.store_url import check_store_url

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text("utf-8")
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(TEXT)["services"]
STOP_MARGIN = 15.0
"""What docs/platform.md adds to a service's own time to stop."""


@pytest.fixture(scope="module")
def env_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a new user gets."""
    folder = tmp_path_factory.mktemp("clone")
    shutil.copy(ROOT / "Makefile", folder)
    shutil.copytree(ROOT / "infra" / "compose", folder / "infra" / "compose")
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    command = ["make", "compose-env"]
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, umask=0o022)
    return folder / ".env"


@pytest.fixture(scope="module")
def variables(env_file: Path) -> dict[str, str]:
    lines = (line.partition("=") for line in env_file.read_text("utf-8").splitlines() if "=" in line)
    return {name: value for name, _, value in lines if not name.startswith("#")}


def test_only_its_owner_can_read_the_file(env_file: Path) -> None:
    assert stat.S_IMODE(env_file.stat().st_mode) == 0o600


def test_every_variable_that_is_demanded_is_written(variables: dict[str, str]) -> None:
    demanded = set(re.findall(r"\$\{(\w+):\?", TEXT))

    assert demanded
    assert demanded <= variables.keys()
    assert all(variables[name] for name in demanded)


def test_only_auth_and_the_console_of_a_profile_are_told_the_token_secret() -> None:
    told = {name for name, service in SERVICES.items() if "WARREN_AUTH_TOKEN_HMAC_SECRET" in str(service)}

    assert told == {"auth", "console"}
    assert SERVICES["console"]["profiles"] == ["console"]
    assert [name for name, service in SERVICES.items() if "profiles" in service] == ["console"]


def test_only_the_api_is_told_its_keys_and_it_is_published_on_loopback_alone() -> None:
    told = {name for name, service in SERVICES.items() if "WARREN_API_KEYS" in str(service)}

    assert told == {"api"}
    assert all(port.startswith("127.0.0.1:") for port in SERVICES["api"]["ports"])


def test_a_new_user_gets_the_console_and_its_traces(variables: dict[str, str]) -> None:
    assert variables["COMPOSE_PROFILES"] == "console"
    assert variables["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://console:8080"


def test_images_are_the_same_everywhere(variables: dict[str, str]) -> None:
    defaults = dict(re.findall(r"\$\{(\w+_IMAGE):-([^}]+)\}", TEXT))

    assert defaults == {"RABBITMQ_IMAGE": IMAGE, "PYTHON_IMAGE": "python:3.13-slim"}
    assert defaults.items() <= variables.items()
    for name, service in SERVICES.items():
        if "build" in service:
            dockerfile = (ROOT / service["build"]["dockerfile"]).read_text("utf-8")
            assert f"ARG PYTHON_IMAGE={defaults['PYTHON_IMAGE']}\n" in dockerfile, name
            assert "PYTHON_IMAGE" in service["build"]["args"], name


@pytest.mark.parametrize(
    ("service", "own"),
    [
        ("gateway", GatewaySettings.model_fields["shutdown_timeout"].default),
        ("api", ApiSettings.model_fields["shutdown_timeout"].default),
        ("history", HistorySettings.model_fields["drain_seconds"].default),
    ],
)
def test_a_service_is_given_the_time_it_may_take_to_stop(service: str, own: float) -> None:
    assert float(SERVICES[service]["stop_grace_period"].removesuffix("s")) >= own + STOP_MARGIN


def test_the_overlay_for_postgresql_gives_history_its_database(variables: dict[str, str]) -> None:
    text = (ROOT / "infra" / "compose" / "postgres.yml").read_text("utf-8")
    services = yaml.safe_load(text)["services"]

    assert set(re.findall(r"\$\{(\w+):\?", text)) <= variables.keys()
    assert services.keys() - SERVICES.keys() == {"postgres"}
    assert f"${{POSTGRES_IMAGE:-{variables['POSTGRES_IMAGE']}}}" == services["postgres"]["image"]
    (variable,) = services["history"]["environment"]
    assert variable == "WARREN_HISTORY_STORE_URL"
    check_store_url(services["history"]["environment"][variable].replace("${WARREN_POSTGRES_PASSWORD}", "x"))
