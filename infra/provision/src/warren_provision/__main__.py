"""The command: provision and end, with 78 for a wrong setting and 1 for a broker that refuses."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from typing import Final

from warren_provision.management import Management, ManagementError
from warren_provision.provisioning import provision
from warren_provision.settings import Settings, SettingsError, read_settings
from warren_shared.messaging.port import BusError
from warren_shared.runtime.errors import CONFIG_EXIT_CODE

_PROVISION_SECONDS: Final = 60.0


async def _run(settings: Settings) -> None:
    administrator = settings.administrator
    async with (
        asyncio.timeout(_PROVISION_SECONDS),
        Management.connect(settings.management_url, administrator.user, administrator.password) as management,
    ):
        await provision(
            management,
            administrator,
            settings.passwords,
            partitions=settings.partitions,
            namespaces=settings.namespaces,
        )


def main() -> int:
    """Run the command and return its exit code."""
    logging.disable()  # the AMQP client logs a traceback of what is told here in one line
    try:
        settings = read_settings(os.environ)
        asyncio.run(_run(settings))
    except SettingsError as error:
        sys.stderr.write(f"warren-provision: {error}\n")
        return CONFIG_EXIT_CODE
    except (ManagementError, BusError, TimeoutError) as error:
        sys.stderr.write(f"warren-provision: {error or 'the broker took too long'}\n")
        return 1
    sys.stdout.write(f"warren-provision: {settings.administrator} is ready\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
