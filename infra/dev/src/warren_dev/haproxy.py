"""HAProxy before everything that listens: gateways and the HTTP API behind one port, where it is installed."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from warren_dev.debian_package import DebianPackage, without_starting
from warren_dev.errors import SetupError
from warren_dev.ports import LOOPBACK
from warren_dev.program import Program, http_ok

_STOP_RANK: Final = 1
"""After the gateways, whose farewells to their clients go through it."""

_CONFIGURATION: Final = """\
# Written anew at each start.
defaults
  mode http
  timeout connect 2s
  timeout client 90s   # a client that is silent so long is gone: it is pinged every 25 s
  timeout server 90s
  timeout tunnel 1h    # a WebSocket, once it is open
  timeout http-request 10s

frontend warren
  bind {host}:{port}
  use_backend api if {{ path_beg /api/ }} or {{ path /openapi.json }}
  default_backend gateways

backend api
  server api {host}:{api_port}

# Any of them will do for any request: POSTs to /emulation are passed on to the gateway that has the client.
backend gateways
  balance leastconn
  option httpchk GET /health
  default-server check inter 1s fall 2 rise 1
{servers}
"""


@dataclass(frozen=True, slots=True)
class Behind:
    """What is behind the port."""

    gateway_ports: Sequence[int]
    api_port: int


PACKAGE: Final = DebianPackage("haproxy", without_starting("haproxy"))


def find_haproxy() -> str | None:
    """Return where HAProxy is, None if it is not installed."""
    return shutil.which("haproxy", path="/usr/local/sbin:/usr/sbin:/usr/local/bin:/usr/bin:/opt/homebrew/bin")


def configuration(port: int, behind: Behind) -> str:
    """Return HAProxy's configuration."""
    servers = "\n".join(
        f"  server gateway-{number} {LOOPBACK}:{gateway}" for number, gateway in enumerate(behind.gateway_ports, 1)
    )
    return _CONFIGURATION.format(host=LOOPBACK, port=port, api_port=behind.api_port, servers=servers)


def haproxy_program(executable: str, port: int, behind: Behind, folder: Path, told: Mapping[str, str]) -> Program:
    """Write the configuration and return HAProxy as a program; it is ready when a gateway answers through it."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "haproxy.cfg"
    file.write_text(configuration(port, behind), "utf-8")
    return Program(
        name="haproxy",
        command=(executable, "-db", "-f", str(file)),
        environment={"PATH": told.get("PATH", "")},
        ready=http_ok(f"http://{LOOPBACK}:{port}/health"),
        stop_rank=_STOP_RANK,
    )


def main() -> int:
    """Install HAProxy where this user may, for the tests of it; without it they are left out."""
    try:
        if find_haproxy() is None:
            PACKAGE.install(lambda line: print(line, file=sys.stderr))
    except SetupError as error:
        print(error, file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
