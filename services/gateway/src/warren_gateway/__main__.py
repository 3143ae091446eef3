"""``warren-gateway``: runs a gateway."""

from __future__ import annotations

import sys

from warren_gateway.bootstrap import build
from warren_gateway.settings import GatewaySettings
from warren_shared.runtime.service import run


def main() -> int:
    """Run until SIGTERM or SIGINT; return the exit code."""
    return run("gateway", GatewaySettings, build)


if __name__ == "__main__":
    sys.exit(main())
