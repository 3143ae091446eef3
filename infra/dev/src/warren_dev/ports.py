"""TCP ports on loopback: is one free, and which ones does the private broker take."""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from warren_dev.errors import SetupError

LOOPBACK: Final = "127.0.0.1"
_NOT_EPHEMERAL: Final = range(20_000, 32_768)
"""Below what Linux gives to outgoing connections (ip_local_port_range)."""
_TRIES: Final = 20


@dataclass(frozen=True, slots=True)
class WantedPort:
    """A port somebody will ask for, and the variable that moves it elsewhere."""

    port: int
    purpose: str
    variable: str


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Whether a server could listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def check_free(wanted: Iterable[WantedPort]) -> None:
    """Raise SetupError, in one line, for all ports that are taken, or for the first that is wanted twice."""
    seen: dict[int, WantedPort] = {}
    for each in wanted:
        if each.port in seen:
            raise SetupError(
                f"port {each.port} is wanted for {seen[each.port].purpose} and for {each.purpose}: "
                f"set {each.variable} to another port"
            )
        seen[each.port] = each
    taken = [each for each in seen.values() if not is_free(each.port)]
    if taken:
        raise SetupError(
            "; ".join(
                f"port {each.port} ({each.purpose}) is in use by another program: set {each.variable} to a free port"
                for each in taken
            )
        )


def any_free() -> int:
    """Return a port that is free now; if it can be, one that no outgoing connection takes before it is listened on."""
    for port in random.sample(_NOT_EPHEMERAL, _TRIES):
        if is_free(port):
            return port
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _any_free_but(spoken_for: Collection[int]) -> int:
    return next(port for port in iter(any_free, 0) if port not in spoken_for)


def remembered_ports(file: Path, preferred: Mapping[str, int], reserved: Collection[int] = ()) -> dict[str, int]:
    """Return a free port for each name: the one of the last run, else the preferred one, else any.

    ``reserved`` are not chosen, free or not. The choice is kept in ``file``, so that URLs stay the
    same from run to run.
    """
    try:
        before = {str(name): int(port) for name, port in json.loads(file.read_text("utf-8")).items()}
    except (OSError, ValueError, AttributeError):
        before = {}
    chosen: dict[str, int] = {}
    for name, default in preferred.items():
        spoken_for = {*reserved, *chosen.values()}
        candidates = [port for port in (before.get(name, default), default) if port not in spoken_for]
        chosen[name] = next(filter(is_free, candidates), None) or _any_free_but(spoken_for)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(chosen), "utf-8")
    return chosen
