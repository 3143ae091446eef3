"""``warren-topology``: declares Warren's exchanges, queues and bindings on a broker.

Services declare nothing that is shared: a platform team applies the topology once, with credentials
that no service holds, and again after an upgrade. Applying it twice changes nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from pathlib import Path
from typing import Final, cast

from aiormq.abc import ArgumentsType

from warren_shared.contracts.namespaces import NamespaceFileError, Namespaces, parse_namespaces
from warren_shared.messaging.amqp import driver
from warren_shared.messaging.amqp.bindings import bind, unbind
from warren_shared.messaging.port import BusError
from warren_shared.runtime.errors import CONFIG_EXIT_CODE
from warren_shared.topology.catalogue import DEFAULT_PARTITIONS, namespace_bindings, topology
from warren_shared.topology.declarations import Topology

_APPLY_SECONDS: Final = 60.0


async def apply_topology(
    amqp_url: str, *, partitions: int = DEFAULT_PARTITIONS, namespaces: Namespaces | None = None
) -> None:
    """Declare everything. Raises BusError, for instance if something exists with other arguments."""
    connection = await driver.connect(amqp_url, name="warren-topology", heartbeat=30)
    try:
        async with driver.amqp_channel(connection, confirms=False) as channel:
            with driver.translated_errors():
                async with asyncio.timeout(_APPLY_SECONDS):
                    await _declare(channel, topology(partitions), namespaces)
    finally:
        await driver.close(connection)


async def _declare(channel: driver.AmqpChannel, wanted: Topology, namespaces: Namespaces | None) -> None:
    for exchange in wanted.exchanges:
        await channel.exchange_declare(
            exchange.name,
            exchange_type=exchange.type,
            durable=True,
            arguments=cast("ArgumentsType", dict(exchange.arguments)),
        )
    for queue in wanted.queues:
        await channel.queue_declare(queue.name, durable=True, arguments=cast("ArgumentsType", dict(queue.arguments)))
    for binding in wanted.bindings:
        await bind(channel, binding)
    if namespaces is not None:
        to_bind, to_unbind = namespace_bindings(namespaces)
        for binding in to_bind:
            await bind(channel, binding)
        for binding in to_unbind:
            await unbind(channel, binding)


def main(argv: list[str] | None = None) -> int:
    """Apply the topology and return the exit code; mistakes are one line each."""
    parser = argparse.ArgumentParser(prog="warren-topology", description="Declare Warren's topology on a broker.")
    parser.add_argument("--amqp-url", default=os.environ.get("WARREN_AMQP_URL"), help="default: $WARREN_AMQP_URL")
    parser.add_argument("--partitions", type=int, default=int(os.environ.get("WARREN_PARTITIONS", DEFAULT_PARTITIONS)))
    parser.add_argument("--namespaces", type=Path, default=os.environ.get("WARREN_NAMESPACES_FILE"))
    arguments = parser.parse_args(argv)
    logging.disable()  # the AMQP client would add a traceback to the one line below
    if not arguments.amqp_url:
        parser.error("give --amqp-url or set WARREN_AMQP_URL")
    try:
        namespaces = parse_namespaces(arguments.namespaces.read_text("utf-8")) if arguments.namespaces else None
        asyncio.run(apply_topology(arguments.amqp_url, partitions=arguments.partitions, namespaces=namespaces))
    except (BusError, NamespaceFileError, OSError) as error:
        sys.stderr.write(f"warren-topology: {driver.redact(arguments.amqp_url)}: {error}\n")
        return CONFIG_EXIT_CODE
    sys.stdout.write(f"warren-topology: applied to {driver.redact(arguments.amqp_url)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
