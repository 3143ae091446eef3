"""Settings from the environment, validated once at start.

A field ``amqp_url`` of service ``history`` is read from ``WARREN_HISTORY_AMQP_URL``; the fields all
services have are also read from ``WARREN_AMQP_URL``, which the service's own variable overrides.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from warren_shared.messaging.broker_url import check_broker_url
from warren_shared.messaging.drivers import BrokerDriver
from warren_shared.runtime.errors import StartupError
from warren_shared.topology.catalogue import DEFAULT_PARTITIONS, MAX_PARTITIONS

_COMMON_PREFIX = "WARREN_"


def service_config(service: str) -> SettingsConfigDict:
    """Return the model_config of a service's settings."""
    return SettingsConfigDict(
        env_prefix=f"WARREN_{service.upper()}_", env_ignore_empty=True, frozen=True, extra="ignore"
    )


def split_list(value: object) -> object:
    """Return the parts of a list that is written with commas, or as JSON. Raises ValueError for broken JSON."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        try:
            return json.loads(value)
        except ValueError:
            raise ValueError("is no JSON list; write the values with commas between them") from None
    return [part.strip() for part in value.split(",") if part.strip()]


def _usable(url: SecretStr) -> SecretStr:
    check_broker_url(url.get_secret_value())
    return url


BrokerUrlSetting = Annotated[SecretStr, AfterValidator(_usable)]


class ServiceSettings(BaseSettings):
    """What every service can be told."""

    amqp_url: BrokerUrlSetting = Field(
        SecretStr("amqp://guest:guest@localhost:5672/"), description="The broker, as amqp:// or amqps:// URL."
    )
    namespaces_file: Path = Field(Path("infra/namespaces.yml"), description="The namespace file; watched for changes.")
    ops_host: str = Field("127.0.0.1", description="Address of /metrics, /livez and /readyz.")
    ops_port: int = Field(0, ge=0, le=65535, description="Their port; 0 takes any free one.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="What is logged.")
    log_format: Literal["json", "console"] = Field("json", description="JSON lines, or coloured text.")
    partitions: int = Field(DEFAULT_PARTITIONS, ge=1, le=MAX_PARTITIONS, description="History and presence partitions.")
    broker_driver: BrokerDriver = Field(
        BrokerDriver.LANE, description="Who speaks AMQP: Warren's own lane, or aio-pika."
    )
    heartbeat_seconds: int = Field(10, ge=2, le=600, description="AMQP heartbeat.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic-settings'
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - likewise
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read the service's own variables first, then the common ones."""
        return init_settings, env_settings, _CommonEnvironment(settings_cls)


class _CommonEnvironment(EnvSettingsSource):
    """``WARREN_<FIELD>`` for the fields of ServiceSettings only."""

    def __init__(self, settings_cls: type[BaseSettings]) -> None:
        super().__init__(settings_cls, env_prefix=_COMMON_PREFIX)

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        if field_name not in ServiceSettings.model_fields:
            return None, field_name, False
        return super().get_field_value(field, field_name)


S = TypeVar("S", bound=ServiceSettings)


def load_settings(settings_type: type[S]) -> S:
    """Read the environment. Raises StartupError with one line that names the variable that is wrong."""
    try:
        return settings_type()
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        reason = first["msg"].removeprefix("Value error, ")
        # A rule about several settings names them itself.
        message = f"{_variable(settings_type, str(first['loc'][0]))}: {reason}" if first["loc"] else reason
        raise StartupError(message) from error
    except SettingsError as error:
        field = re.search(r'field "(\w+)"', str(error))
        name = _variable(settings_type, field[1]) if field else "a variable"
        raise StartupError(f"{name}: cannot be read") from error


def _variable(settings_type: type[ServiceSettings], field: str) -> str:
    """Return the name of the variable that a field's value came from; its own one if there is none."""
    own = f"{settings_type.model_config.get('env_prefix', '')}{field}".upper()
    common = f"{_COMMON_PREFIX}{field}".upper()
    given = {name.upper() for name, value in os.environ.items() if value}
    if own not in given and common in given and field in ServiceSettings.model_fields:
        return common
    return own
