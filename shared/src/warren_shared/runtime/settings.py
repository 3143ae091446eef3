"""Settings from the environment, validated once at start.

A field ``amqp_url`` of service ``history`` is read from ``WARREN_HISTORY_AMQP_URL``; the fields all
services have are also read from ``WARREN_AMQP_URL``, which the service's own variable overrides.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from warren_shared.runtime.errors import StartupError
from warren_shared.topology.catalogue import DEFAULT_PARTITIONS

_COMMON_PREFIX = "WARREN_"


def service_config(service: str) -> SettingsConfigDict:
    """Return the model_config of a service's settings."""
    return SettingsConfigDict(
        env_prefix=f"WARREN_{service.upper()}_", env_ignore_empty=True, frozen=True, extra="ignore"
    )


class ServiceSettings(BaseSettings):
    """What every service can be told."""

    amqp_url: SecretStr = Field(
        SecretStr("amqp://guest:guest@localhost:5672/"), description="The broker, as amqp:// or amqps:// URL."
    )
    namespaces_file: Path = Field(Path("infra/namespaces.yml"), description="The namespace file; watched for changes.")
    ops_host: str = Field("127.0.0.1", description="Address of /metrics, /livez and /readyz.")
    ops_port: int = Field(0, ge=0, le=65535, description="Their port; 0 takes any free one.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="What is logged.")
    log_format: Literal["json", "console"] = Field("json", description="JSON lines, or coloured text.")
    partitions: int = Field(DEFAULT_PARTITIONS, ge=1, le=256, description="History and presence partitions.")
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
    """Read the environment. Raises StartupError naming the variable that is wrong."""
    try:
        return settings_type()
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        prefix = settings_type.model_config.get("env_prefix", "")
        name = prefix + "_".join(str(step) for step in first["loc"]).upper()
        raise StartupError(f"{name}: {first['msg'].removeprefix('Value error, ')}") from error
