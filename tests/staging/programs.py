"""The suite's processes: their commands and their environment."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from warren_dev.ports import LOOPBACK, any_free
from warren_dev.program import Program, http_ok
from warren_provision.broker_url import BrokerUrl

AUDIENCE: Final = "warren-tests"
GATEWAYS: Final = ("gateway-1", "gateway-2")
SERVICES: Final = ("auth", "presence", "history", "api", *GATEWAYS)
_STOP_SECONDS: Final = 15.0
_INHERITED: Final = ("PATH", "HOME", "LANG", "TMPDIR", "WARREN_BROKER_DRIVER")

TELLING: Final[Mapping[str, str]] = {
    "WARREN_GATEWAY_CLIENT_MESSAGES": "true",
    "WARREN_GATEWAY_CONNECTION_EVENTS": "true",
    "WARREN_GATEWAY_COMPRESSION": "true",
}
"""What the second gateway has besides: it tells backends of clients, and compresses for them; the first does not."""
GATEWAY_SETTINGS: Final[Mapping[str, str]] = {
    "WARREN_GATEWAY_HOST": "127.0.0.1",
    "WARREN_GATEWAY_STALE_TIMEOUT": "2",
    "WARREN_GATEWAY_PING_INTERVAL": "4",
    "WARREN_GATEWAY_PONG_TIMEOUT": "3",
    "WARREN_GATEWAY_EXPIRED_CLOSE_DELAY": "2",
    "WARREN_GATEWAY_EXPIRED_SUBSCRIPTION_CLOSE_DELAY": "1",
    "WARREN_GATEWAY_SHUTDOWN_WINDOW": "0.5",
    "WARREN_GATEWAY_SHUTDOWN_TIMEOUT": "5",
    "WARREN_GATEWAY_REQUEST_TIMEOUT": "2",
    "WARREN_GATEWAY_PUBLISH_TIMEOUT": "3",
    "WARREN_GATEWAY_RECOVERY_MAX_PUBLICATION_LIMIT": "5000",
    "WARREN_GATEWAY_CHANNEL_LIMIT": "16",
}
"""Shorter times than in production, so that tests need not wait; a recovery may span a whole stream."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a set of processes is started with."""

    folder: Path
    """Data, logs and the namespace file."""
    logins: Mapping[str, BrokerUrl]
    token_secret: str
    api_key: str
    otlp_endpoint: str
    console_port: int = field(default_factory=any_free)
    extra: Mapping[str, str] = field(default_factory=dict)
    """Environment variables for all of them."""
    own: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Environment variables for one of them, by its name."""
    more: tuple[str, ...] = ()
    """Further processes, such as ``history-2``."""
    broker_ports: Mapping[str, int] = field(default_factory=dict)
    """Through which port of loopback a process reaches the broker, if not directly; by the process's name."""

    @property
    def namespaces_file(self) -> Path:
        """Where the namespace file is."""
        return self.folder / "namespaces.yml"


@dataclass(frozen=True, slots=True)
class Service:
    """A process of the suite and its ports."""

    program: Program
    ops_url: str
    port: int


def services(setting: Setting) -> Iterator[Service]:
    """Return every process, each on free ports."""
    for name in (*SERVICES, *setting.more):
        yield _service(name, setting, _own_environment(name, setting), any_free())


def console(setting: Setting, gateways: list[Service]) -> Service:
    """Return the console, which offers tokens for the gateways."""
    urls = ",".join(websocket_url(gateway.port) for gateway in gateways)
    own = {
        "WARREN_CONSOLE_GATEWAY_URLS": urls,
        "WARREN_CONSOLE_DEV_TOKEN_SECRET": setting.token_secret,
        "WARREN_CONSOLE_DEV_TOKEN_AUDIENCE": AUDIENCE,
    }
    return _service("console", setting, own, setting.console_port)


def websocket_url(port: int) -> str:
    """Return where clients of a gateway connect to."""
    return f"ws://127.0.0.1:{port}/connection/websocket"


def _service(name: str, setting: Setting, own: Mapping[str, str], port: int) -> Service:
    kind = name.partition("-")[0]
    ops_port = any_free()
    login = _login(name, kind, setting)
    environment = {
        **{variable: os.environ[variable] for variable in _INHERITED if variable in os.environ},
        "PYTHONUNBUFFERED": "1",
        "WARREN_LOG_FORMAT": "json",
        "WARREN_NAMESPACES_FILE": str(setting.namespaces_file),
        "OTEL_EXPORTER_OTLP_ENDPOINT": setting.otlp_endpoint,
        f"WARREN_{kind.upper()}_PORT": str(port),
        f"WARREN_{kind.upper()}_OPS_PORT": str(ops_port),
        **({"WARREN_AMQP_URL": login.secret()} if login else {}),
        **own,
        **setting.extra,
        **setting.own.get(name, {}),
    }
    ops_url = f"http://127.0.0.1:{ops_port}"
    command = (sys.executable, "-m", f"warren_{kind}")
    program = Program(name, command, environment, ready=http_ok(f"{ops_url}/readyz"), stop_seconds=_STOP_SECONDS)
    return Service(program, ops_url, port)


def _login(name: str, kind: str, setting: Setting) -> BrokerUrl | None:
    login = setting.logins.get(f"warren-{kind}")
    if login is None or name not in setting.broker_ports:
        return login
    return replace(login, host=LOOPBACK, port=setting.broker_ports[name])


def _own_environment(name: str, setting: Setting) -> Mapping[str, str]:
    if name in GATEWAYS:
        origin = f"http://127.0.0.1:{setting.console_port}"
        return {
            **GATEWAY_SETTINGS,
            **(TELLING if name == GATEWAYS[1] else {}),
            "WARREN_GATEWAY_ID": name,
            "WARREN_GATEWAY_ALLOWED_ORIGINS": json.dumps([origin]),
        }
    if name == "auth":
        return {"WARREN_AUTH_TOKEN_HMAC_SECRET": setting.token_secret, "WARREN_AUTH_TOKEN_AUDIENCE": AUDIENCE}
    if name == "api":
        return {"WARREN_API_KEYS": setting.api_key}
    if name == "history":
        return {"WARREN_HISTORY_STORE_PATH": str(setting.folder / "history.sqlite3")}
    return {}
