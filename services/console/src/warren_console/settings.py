"""What the console can be told, from the environment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator
from pydantic_settings import NoDecode

from warren_console.domain.hosts import LOOPBACK_NAMES, is_loopback
from warren_shared.runtime.settings import ServiceSettings, service_config, split_list

MIN_SECRET_BYTES = 32
"""RFC 7518 section 3.2: an HS256 key has at least the size of the hash."""


def _gateway_url(url: str) -> str:
    try:
        parts = urlsplit(url.replace("{host}", "localhost"))
        parts.port  # noqa: B018 - raises for one that is none
    except ValueError:
        raise ValueError(f"{url!r} is no URL") from None
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise ValueError(f"{url!r} is no WebSocket URL: write ws://host:port/connection/websocket")
    return url


Hosts = Annotated[tuple[str, ...], NoDecode, BeforeValidator(split_list)]
GatewayUrls = Annotated[tuple[Annotated[str, AfterValidator(_gateway_url)], ...], NoDecode, BeforeValidator(split_list)]


class ConsoleSettings(ServiceSettings):
    """Settings of the console, read as ``WARREN_CONSOLE_<FIELD>``."""

    model_config = service_config("console")

    ops_port: int = Field(9141, ge=0, le=65535, description="Port of /metrics, /livez and /readyz.")
    host: str = Field("127.0.0.1", description="Address the page is served on.")
    port: int = Field(8080, ge=0, le=65535, description="Port of the page and of the OTLP/HTTP receiver.")
    allowed_hosts: Hosts = Field(
        (),
        description="Names the console may be called by, separated by commas. When empty: the loopback names if it "
        "listens on loopback or offers development tokens, else any.",
    )
    gateway_urls: GatewayUrls = Field(
        (),
        description="WebSocket URLs of the gateways, separated by commas; {host} stands for the host the page was "
        "opened on. When empty: port 8000 of that host.",
    )
    sdk_file: Path | None = Field(
        None, description="The SDK, centrifuge.js; by default searched for in node_modules of the parent folders."
    )
    dev_token_secret: SecretStr | None = Field(
        None, description="Auth's HMAC secret. When set, whoever reaches the page gets a token for any user."
    )
    dev_token_secret_file: Path | None = Field(None, description="A file that holds that secret.")
    dev_token_audience: str = Field("", description="The aud claim of development tokens, if auth demands one.")
    dev_token_ttl_seconds: int = Field(3600, ge=5, le=7 * 86400, description="How long a development token is valid.")
    traces_kept: int = Field(500, ge=1, le=100_000, description="Traces the trace store keeps.")
    trace_store_mib: int = Field(64, ge=1, le=4096, description="Memory the trace store may use, in MiB.")
    otlp_max_bytes: int = Field(
        4 * 1024 * 1024, ge=1024, description="Largest OTLP request accepted, after decompression."
    )

    @model_validator(mode="after")
    def _one_secret(self) -> Self:
        if self.dev_token_secret is not None and self.dev_token_secret_file is not None:
            raise ValueError(
                "WARREN_CONSOLE_DEV_TOKEN_SECRET and WARREN_CONSOLE_DEV_TOKEN_SECRET_FILE exclude one another"
            )
        return self

    @property
    def offers_dev_tokens(self) -> bool:
        """Whether the page hands out tokens."""
        return self.dev_token_secret is not None or self.dev_token_secret_file is not None

    @property
    def hosts(self) -> frozenset[str]:
        """Names the console answers to; empty for any."""
        if self.allowed_hosts:
            return frozenset(name.lower() for name in self.allowed_hosts)
        return LOOPBACK_NAMES if self.offers_dev_tokens or is_loopback(self.host) else frozenset()
