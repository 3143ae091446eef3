"""What the API can be told, from the environment."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

from warren_api.domain.api_keys import MIN_KEY_BYTES, ApiKeys
from warren_shared.runtime.errors import StartupError
from warren_shared.runtime.settings import ServiceSettings, service_config, split_list

KEYS_VARIABLE: Final = "WARREN_API_KEYS"
_HOW_TO_MAKE_ONE: Final = "make one with: openssl rand -hex 32"

Keys = Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(split_list)]


class ApiSettings(ServiceSettings):
    """Settings of the API, read as ``WARREN_API_<FIELD>``."""

    model_config = service_config("api")

    ops_port: int = Field(9151, ge=0, le=65535, description="Port of /metrics, /livez and /readyz.")
    host: str = Field("127.0.0.1", description="Address the API is served on.")
    port: int = Field(8070, ge=0, le=65535, description="Its port; 0 takes any free one.")
    keys: Keys = Field(
        (), description=f"Keys that are accepted, {MIN_KEY_BYTES} bytes each at least, separated by commas. Required."
    )
    body_limit: int = Field(
        4 * 1024 * 1024, ge=1024, le=256 * 1024 * 1024, description="Largest request accepted, in bytes."
    )
    concurrency: int = Field(
        256, ge=1, le=65536, description="HTTP requests in hand at a time; more are answered with 503."
    )
    publish_timeout: float = Field(5.0, gt=0, le=60, description="Seconds to wait for the broker's confirm.")
    request_timeout: float = Field(5.0, gt=0, le=60, description="Seconds to wait for another service's answer.")
    shutdown_timeout: float = Field(10.0, gt=0, le=300, description="Seconds requests in hand have at the end.")


def api_keys_of(settings: ApiSettings) -> ApiKeys:
    """Return the keys. Raises StartupError where there are none, or one that can be guessed."""
    keys = [key.get_secret_value() for key in settings.keys]
    if not keys:
        raise StartupError(f"{KEYS_VARIABLE} is not set: {_HOW_TO_MAKE_ONE}")
    if any(len(key.encode()) < MIN_KEY_BYTES for key in keys):
        raise StartupError(f"{KEYS_VARIABLE}: a key has less than {MIN_KEY_BYTES} bytes; {_HOW_TO_MAKE_ONE}")
    return ApiKeys(keys)
