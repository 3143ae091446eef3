"""The knobs of ``make run``, all of them environment variables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from warren_dev.errors import SetupError
from warren_provision.broker_url import BrokerUrl
from warren_shared.contracts.namespaces import NamespaceFileError, Namespaces, parse_namespaces
from warren_shared.messaging.broker_url import check_broker_url
from warren_shared.topology.catalogue import DEFAULT_PARTITIONS, MAX_PARTITIONS

MAX_GATEWAYS: Final = 10
_LAST_PORT: Final = 65535
_MIN_SECRET_BYTES: Final = 32
"""RFC 7518 section 3.2: an HS256 key has at least the size of the hash."""
_OTLP_VARIABLES: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What a run was asked for."""

    port: int
    gateways: int
    console_port: int
    api_port: int
    proxy_port: int
    """Of gateways and API together, where HAProxy is installed."""
    ops_ports: Mapping[str, int]
    """By service, where the environment says so; the gateways' count up from the first one's."""
    amqp_url: BrokerUrl | None
    """None: a private node."""
    partitions: int
    namespaces_file: Path
    namespaces: Namespaces
    token_secret: str | None
    """None: one that is kept in the run folder."""
    exports_elsewhere: bool
    """Whether the environment says where traces go."""


DEFAULT_OPS_PORTS: Final = {
    "gateway": 9101,
    "auth": 9111,
    "presence": 9121,
    "history": 9131,
    "console": 9141,
    "api": 9151,
}


def ops_port_variable(service: str) -> str:
    """Return the variable that moves a service's ops port."""
    return f"WARREN_{service.upper()}_OPS_PORT"


def read_settings(environment: Mapping[str, str], root: Path) -> RunSettings:
    """Read the knobs. Raises SetupError, in one line that names the variable."""
    gateways = _number(environment, "GATEWAYS", 1, 1, MAX_GATEWAYS)
    file = Path(environment.get("WARREN_NAMESPACES_FILE") or root / "infra" / "namespaces.yml").resolve()
    return RunSettings(
        port=_number(environment, "PORT", 8000, 1, _LAST_PORT - gateways + 1),
        gateways=gateways,
        console_port=_number(environment, "CONSOLE_PORT", 8080, 1, _LAST_PORT),
        api_port=_number(environment, "API_PORT", 8070, 1, _LAST_PORT),
        proxy_port=_number(environment, "PROXY_PORT", 8090, 1, _LAST_PORT),
        ops_ports={
            service: _number(environment, ops_port_variable(service), default, 1, _LAST_PORT - gateways + 1)
            for service, default in DEFAULT_OPS_PORTS.items()
            if environment.get(ops_port_variable(service))
        },
        amqp_url=_broker(environment.get("WARREN_AMQP_URL", "")),
        partitions=_number(environment, "WARREN_PARTITIONS", DEFAULT_PARTITIONS, 1, MAX_PARTITIONS),
        namespaces_file=file,
        namespaces=_namespaces(file),
        token_secret=_secret(environment),
        exports_elsewhere=any(environment.get(name) for name in _OTLP_VARIABLES),
    )


def _number(environment: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    text = environment.get(name) or str(default)
    if not text.isdecimal() or not low <= int(text) <= high:
        raise SetupError(f"{name}={text}: must be a number from {low} to {high}")
    return int(text)


def _broker(url: str) -> BrokerUrl | None:
    if not url:
        return None
    try:
        check_broker_url(url)
        return BrokerUrl.parse(url)
    except ValueError as error:
        raise SetupError(f"WARREN_AMQP_URL {error}") from error


def _secret(environment: Mapping[str, str]) -> str | None:
    secret = environment.get("WARREN_AUTH_TOKEN_HMAC_SECRET") or None
    if secret is not None and len(secret.encode()) < _MIN_SECRET_BYTES:
        raise SetupError(f"WARREN_AUTH_TOKEN_HMAC_SECRET must have at least {_MIN_SECRET_BYTES} bytes")
    return secret


def _namespaces(file: Path) -> Namespaces:
    try:
        return parse_namespaces(file.read_text("utf-8"))
    except OSError as error:
        raise SetupError(f"namespace file {file}: {error.strerror}: set WARREN_NAMESPACES_FILE to yours") from error
    except (UnicodeDecodeError, NamespaceFileError) as error:
        raise SetupError(f"namespace file {file}: {error}") from error
