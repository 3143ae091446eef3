"""The services of a run: their commands, their environment, when they are ready."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from warren_dev.haproxy import Behind, find_haproxy, haproxy_program
from warren_dev.ports import LOOPBACK, WantedPort, remembered_ports
from warren_dev.program import Program, http_ok
from warren_dev.settings import DEFAULT_OPS_PORTS, RunSettings, ops_port_variable
from warren_provision.broker_url import BrokerUrl

WEBSOCKET_PATH: Final = "/connection/websocket"
_GATEWAY_RANK: Final = 0
_SERVICE_RANK: Final = 1
_CONSOLE_RANK: Final = 2  # last of the services, as it takes the others' spans until they end

# What one service is told must not reach another: the token secret and the broker's passwords.
_WITHHELD: Final = ("WARREN_AMQP_URL", "WARREN_AUTH_TOKEN_HMAC_SECRET", "WARREN_API_KEYS")

_OVERRIDABLE: Final = ("WARREN_HISTORY_STORE_PATH", "WARREN_CONSOLE_GATEWAY_URLS")
"""Of what a run decides on, this may as well be the user's; the rest must fit the run's other parts."""


@dataclass(frozen=True, slots=True)
class RunPlan:
    """All that the services' environments are made of."""

    settings: RunSettings
    run_dir: Path
    secret_file: Path
    """Holds the secret that tokens are signed with."""
    api_key: str
    broker_of: Mapping[str, BrokerUrl]
    """The broker as each service logs in to it."""
    ops_ports: Mapping[str, int]
    """By program: where each serves health and metrics."""
    environment: Mapping[str, str]
    """What the run was started with."""


def gateway_names(settings: RunSettings) -> tuple[str, ...]:
    """Return the gateways' names: ``gateway``, or ``gateway-1`` and so on."""
    if settings.gateways == 1:
        return ("gateway",)
    return tuple(f"gateway-{number}" for number in range(1, settings.gateways + 1))


def gateway_urls(settings: RunSettings) -> tuple[str, ...]:
    """Return the WebSocket URL of each gateway."""
    return tuple(f"ws://localhost:{settings.port + index}{WEBSOCKET_PATH}" for index in range(settings.gateways))


def wanted_ports(settings: RunSettings) -> Iterator[WantedPort]:
    """Name every port that was asked for, and so must be free."""
    for index, name in enumerate(gateway_names(settings)):
        yield WantedPort(settings.port + index, f"WebSocket of {name}", "PORT")
    yield WantedPort(settings.console_port, "console", "CONSOLE_PORT")
    yield WantedPort(settings.api_port, "HTTP API", "API_PORT")
    if find_haproxy():
        yield WantedPort(settings.proxy_port, "HAProxy", "PROXY_PORT")
    for service, port in settings.ops_ports.items():
        for index, name in enumerate(_programs_of(service, settings)):
            yield WantedPort(port + index, f"health and metrics of {name}", ops_port_variable(service))


def choose_ops_ports(settings: RunSettings, file: Path) -> dict[str, int]:
    """Return each program's ops port: the one that was asked for, else a free one, kept in ``file`` for the next run.

    Nobody types these ports, so a second run beside a first one takes others by itself.
    """
    wanted: dict[str, int] = {}
    preferred: dict[str, int] = {}
    for service, default in DEFAULT_OPS_PORTS.items():
        asked = settings.ops_ports.get(service)
        for index, name in enumerate(_programs_of(service, settings)):
            if asked is None:
                preferred[name] = default + index
            else:
                wanted[name] = asked + index
    reserved = {each.port for each in wanted_ports(settings)}
    return {**wanted, **remembered_ports(file, preferred, reserved)}


def _programs_of(service: str, settings: RunSettings) -> Collection[str]:
    return gateway_names(settings) if service == "gateway" else (service,)


def proxy_programs(plan: RunPlan) -> tuple[Program, ...]:
    """Return HAProxy, where it is installed."""
    executable = find_haproxy()
    if executable is None:
        return ()
    settings = plan.settings
    behind = Behind([settings.port + index for index in range(settings.gateways)], settings.api_port)
    folder = plan.run_dir / "haproxy"
    return (haproxy_program(executable, settings.proxy_port, behind, folder, plan.environment),)


def service_programs(plan: RunPlan) -> tuple[Program, ...]:
    """Return the console, auth, presence, the API, history and the gateways."""
    settings = plan.settings
    history = {"WARREN_HISTORY_STORE_PATH": str(plan.run_dir / "history" / "history.sqlite3")}
    return (
        _program(plan, "console", "console", _console_environment(plan), rank=_CONSOLE_RANK),
        _program(plan, "auth", "auth", {"WARREN_AUTH_TOKEN_HMAC_SECRET": plan.secret_file.read_text("utf-8").strip()}),
        _program(plan, "presence", "presence", {}),
        _program(plan, "api", "api", {"WARREN_API_PORT": str(settings.api_port), "WARREN_API_KEYS": plan.api_key}),
        _program(plan, "history", "history", history),
        *(
            _program(plan, "gateway", name, _gateway_environment(settings, index), rank=_GATEWAY_RANK)
            for index, name in enumerate(gateway_names(settings))
        ),
    )


def _console_environment(plan: RunPlan) -> dict[str, str]:
    urls = (url.replace("localhost", "{host}") for url in gateway_urls(plan.settings))
    return {
        "WARREN_CONSOLE_PORT": str(plan.settings.console_port),
        "WARREN_CONSOLE_GATEWAY_URLS": ",".join(urls),
        "WARREN_CONSOLE_DEV_TOKEN_SECRET_FILE": str(plan.secret_file),
    }


def _gateway_environment(settings: RunSettings, index: int) -> dict[str, str]:
    return {"WARREN_GATEWAY_PORT": str(settings.port + index), "WARREN_GATEWAY_ID": f"gateway-{index + 1}"}


def _defaults(settings: RunSettings) -> dict[str, str]:
    """Return what fits a terminal on the developer's own machine; whatever the environment says instead holds."""
    pages = [f"http://{host}:{settings.console_port}" for host in ("localhost", LOOPBACK)]
    return {
        "PYTHONUNBUFFERED": "1",
        "WARREN_LOG_FORMAT": "console",
        "WARREN_GATEWAY_HOST": LOOPBACK,
        "WARREN_GATEWAY_ALLOWED_ORIGINS": ",".join(pages),  # the console's page is of another origin
        "WARREN_GATEWAY_SHUTDOWN_WINDOW": "0.5",
        "WARREN_GATEWAY_SHUTDOWN_TIMEOUT": "5",
    }


def _program(plan: RunPlan, service: str, name: str, own: Mapping[str, str], *, rank: int = _SERVICE_RANK) -> Program:
    settings = plan.settings
    ops_port = plan.ops_ports[name]
    told = {key: value for key, value in plan.environment.items() if key not in _WITHHELD}
    environment = {
        **_defaults(settings),
        **told,
        **own,
        **{key: told[key] for key in _OVERRIDABLE if told.get(key)},
        "WARREN_NAMESPACES_FILE": str(settings.namespaces_file),
        "WARREN_PARTITIONS": str(settings.partitions),
        ops_port_variable(service): str(ops_port),
    }
    if service in plan.broker_of:
        environment["WARREN_AMQP_URL"] = plan.broker_of[service].secret()
    if not settings.exports_elsewhere:
        environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://{LOOPBACK}:{settings.console_port}"
    return Program(
        name=name,
        command=(sys.executable, "-m", f"warren_{service}"),
        environment=environment,
        ready=http_ok(f"http://{LOOPBACK}:{ops_port}/readyz"),
        stop_rank=rank,
    )
