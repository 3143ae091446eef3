"""A private RabbitMQ: a node of our own name, ports and data, which nobody else's node disturbs."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from warren_dev.docker_broker import IMAGE, docker_program, fetch_image, remove_strays, volume_name
from warren_dev.errors import SetupError
from warren_dev.ports import LOOPBACK, remembered_ports
from warren_dev.program import Probe, Program
from warren_dev.rabbitmq_package import PACKAGE, docker_answers, find_epmd, find_scripts
from warren_dev.secret_files import kept_secret, write_private
from warren_provision.broker_url import BrokerUrl
from warren_provision.management import Management

ADMINISTRATOR: Final = "warren-admin"
VHOST: Final = "warren"
PLUGINS: Final = ("rabbitmq_consistent_hash_exchange", "rabbitmq_management", "rabbitmq_prometheus")
PREFERRED_PORTS: Final = {"amqp": 5682, "management": 15682, "prometheus": 15782, "distribution": 25682, "epmd": 4382}
STOP_RANK: Final = 10
_NODE: Final = "warren@localhost"
_PROBE_SECONDS: Final = 2.0
_STOP_SECONDS: Final = 20.0
_TERM_AGAIN_SECONDS: Final = 0.5
"""Erlang drops a SIGTERM that comes before its handler is there, in the first seconds; a further one while
it stops changes nothing."""
_PROTOCOL_HEADER: Final = b"AMQP\x00\x00\x09\x01"
_METHOD_FRAME: Final = b"\x01"


@dataclass(frozen=True, slots=True)
class PrivateBroker:
    """Where the node is reached, and the programs that make it up; a supervisor runs those."""

    administrator: BrokerUrl
    management_url: str
    prometheus_url: str
    programs: tuple[Program, ...]
    log_dir: Path


def prepare_broker(
    folder: Path, say: Callable[[str], None], *, ports: Mapping[str, int] | None = None
) -> PrivateBroker:
    """Write a node's files under ``folder`` and return it, not yet started.

    Data and ports stay the same from run to run; ``ports`` (see PREFERRED_PORTS) fixes the ports
    instead. Where RabbitMQ is not installed, its package is installed if this user may, else a
    Docker engine is used if one answers. Raises SetupError if there is neither.
    """
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    password = kept_secret(folder / "admin-password")
    chosen = ports or remembered_ports(folder / "ports.json", PREFERRED_PORTS)
    (folder / "enabled_plugins").write_text(f"[{','.join(PLUGINS)}].\n", "utf-8")
    scripts = find_scripts()
    if scripts is None and PACKAGE.install(say):
        scripts = find_scripts()
    if scripts is not None:
        programs = _native_programs(folder, scripts, chosen, password)
    elif docker_answers():
        programs = _docker_programs(folder, chosen, password, say)
    else:
        raise SetupError(
            f"RabbitMQ is not installed. Type: {PACKAGE.command}\n"
            "(or start a Docker engine, or set WARREN_AMQP_URL to a broker you have)"
        )
    return PrivateBroker(
        administrator=BrokerUrl("amqp", ADMINISTRATOR, password, LOOPBACK, chosen["amqp"], VHOST),
        management_url=f"http://{LOOPBACK}:{chosen['management']}",
        prometheus_url=f"http://{LOOPBACK}:{chosen['prometheus']}",
        programs=programs,
        log_dir=folder / "log",
    )


def render_config(ports: Mapping[str, int], password: str) -> str:
    """Return rabbitmq.conf."""
    return "\n".join(
        (
            f"listeners.tcp.local = {LOOPBACK}:{ports['amqp']}",
            f"management.tcp.ip = {LOOPBACK}",
            f"management.tcp.port = {ports['management']}",
            f"prometheus.tcp.ip = {LOOPBACK}",
            f"prometheus.tcp.port = {ports['prometheus']}",
            f"default_user = {ADMINISTRATOR}",
            f"default_pass = {password}",
            f"default_vhost = {VHOST}",
            "log.console = false",
            "log.file.level = info",
            "raft.wal_max_size_bytes = 67108864",
            "",
        )
    )


def render_environment(folder: Path, ports: Mapping[str, int], inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the node's whole environment; nothing of a system-wide RabbitMQ or Erlang leaks in."""
    return {
        "PATH": inherited.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        "HOME": str(folder / "home"),  # where Erlang keeps the cookie
        "ERL_EPMD_PORT": str(ports["epmd"]),
        "ERL_EPMD_ADDRESS": LOOPBACK,
        "ERL_CRASH_DUMP": str(folder / "log" / "erl_crash.dump"),
        "RABBITMQ_NODENAME": _NODE,
        "RABBITMQ_DIST_PORT": str(ports["distribution"]),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_CONFIG_FILES": str(folder / "conf.d"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "rabbitmq-env.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        # Has the start script become the node instead of waiting for it: signals and pid are the node's.
        "RABBITMQ_ALLOW_INPUT": "true",
        "RABBITMQ_SERVER_START_ARGS": "-noinput +B i",
    }


def _native_programs(folder: Path, scripts: Path, ports: Mapping[str, int], password: str) -> tuple[Program, ...]:
    for name in ("home", "data", "log", "conf.d"):
        (folder / name).mkdir(exist_ok=True)
    write_private(folder / "rabbitmq.conf", render_config(ports, password))
    (folder / "rabbitmq-env.conf").write_text("", "utf-8")
    environment = render_environment(folder, ports, os.environ)
    node = Program(
        name="rabbitmq",
        command=(str(scripts / "rabbitmq-server"),),
        environment=environment,
        ready=_serves(ports, password),
        stop_rank=STOP_RANK,
        stop_seconds=_STOP_SECONDS,
        term_again=_TERM_AGAIN_SECONDS,
        quiet=True,
    )
    epmd = find_epmd()
    if epmd is None:  # the node starts one itself
        return (node,)
    mapper = Program(
        name="epmd",
        command=(epmd, "-port", str(ports["epmd"]), "-address", LOOPBACK),
        environment=environment,
        stop_rank=STOP_RANK + 1,
        quiet=True,
    )
    return mapper, node


def _docker_programs(
    folder: Path, ports: Mapping[str, int], password: str, say: Callable[[str], None]
) -> tuple[Program, ...]:
    say(f"RabbitMQ is not installed: using Docker with the image {IMAGE}")
    fetch_image(say)
    volume = volume_name(folder, password)
    remove_strays(folder, volume)
    login = {"USER": ADMINISTRATOR, "PASS": password, "VHOST": VHOST}
    container = docker_program(folder, ports, login, volume, _serves(ports, password))
    return (replace(container, stop_rank=STOP_RANK, stop_seconds=_STOP_SECONDS),)


def _serves(ports: Mapping[str, int], password: str) -> Probe:
    """Return a probe that asks the management API, the last plugin to start, and AMQP itself."""

    async def probe() -> bool:
        if not await speaks_amqp(LOOPBACK, ports["amqp"]):
            return False
        url = f"http://{LOOPBACK}:{ports['management']}"
        async with Management.connect(url, ADMINISTRATOR, password) as management:
            return await management.is_up()

    return probe


async def speaks_amqp(host: str, port: int) -> bool:
    """Whether an AMQP 0-9-1 server greets there within two seconds (AMQP 0-9-1 section 4.2.2)."""
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(_PROTOCOL_HEADER)
                return await reader.read(1) == _METHOD_FRAME
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False


async def accepts(host: str, port: int) -> bool:
    """Whether anything takes a connection there within two seconds."""
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            _, writer = await asyncio.open_connection(host, port)
            writer.close()
    except (OSError, TimeoutError):
        return False
    return True
