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
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from warren_shared.contracts.namespaces import NamespaceFileError, Namespaces, parse_namespaces
from warren_shared.messaging.aio_pika_driver.connection import connect
from warren_shared.messaging.amqp import driver
from warren_shared.messaging.broker_url import check_broker_url
from warren_shared.messaging.port import BusError
from warren_shared.runtime.errors import CONFIG_EXIT_CODE, StartupError
from warren_shared.topology.catalogue import DEFAULT_PARTITIONS, MAX_PARTITIONS, namespace_bindings, topology
from warren_shared.topology.declarations import Topology

_APPLY_SECONDS: Final = 60.0
_OF_ANOTHER_VERSION: Final = "inequivalent arg"
"""What RabbitMQ says when something exists with other arguments."""


async def apply_topology(
    amqp_url: str, *, partitions: int = DEFAULT_PARTITIONS, namespaces: Namespaces | None = None
) -> None:
    """Declare everything. Raises BusError, for instance if something exists with other arguments."""
    try:
        await _apply(amqp_url, topology(partitions), namespaces)
    except BusError as error:
        if _OF_ANOTHER_VERSION not in str(error):
            raise
        advice = "another version of Warren made it: delete it, a queue once it is empty, and apply the topology again"
        raise BusError(f"{error} ({advice})") from error


async def _apply(amqp_url: str, wanted: Topology, namespaces: Namespaces | None) -> None:
    connection = await connect(amqp_url, name="warren-topology", heartbeat=30)
    try:
        async with connection.amqp_channel(confirms=False) as channel, driver.within(_APPLY_SECONDS):
            await _declare(channel, wanted, namespaces)
    finally:
        await connection.close()


async def _declare(channel: driver.AmqpChannel, wanted: Topology, namespaces: Namespaces | None) -> None:
    for exchange in wanted.exchanges:
        await channel.declare_exchange(exchange)
    for queue in wanted.queues:
        await channel.declare_queue(queue.name, durable=True, arguments=queue.arguments)
    await channel.bind(wanted.bindings)
    if namespaces is not None:
        to_bind, to_unbind = namespace_bindings(namespaces)
        await channel.bind(tuple(to_bind))
        await channel.unbind(tuple(to_unbind))


@dataclass(frozen=True, slots=True)
class _Setting:
    """A value, and what it is called where it was given."""

    name: str
    value: str

    @classmethod
    def of(cls, arguments: argparse.Namespace, option: str, variable: str) -> _Setting:
        """Return the option, else the variable; an empty one counts as unset."""
        given: str | None = getattr(arguments, option.removeprefix("--").replace("-", "_"))
        return cls(option, given) if given else cls(variable, os.environ.get(variable, ""))


def _url(setting: _Setting) -> str:
    if not setting.value:
        raise StartupError("give --amqp-url or set WARREN_AMQP_URL")
    try:
        check_broker_url(setting.value)
    except ValueError as error:
        raise StartupError(f"{setting.name}: {error}") from error
    return setting.value


def _partitions(setting: _Setting) -> int:
    text = setting.value or str(DEFAULT_PARTITIONS)
    if not text.isdecimal() or not 1 <= int(text) <= MAX_PARTITIONS:
        raise StartupError(f"{setting.name}: must be a number from 1 to {MAX_PARTITIONS}")
    return int(text)


def _namespaces(setting: _Setting) -> Namespaces | None:
    if not setting.value:
        return None
    try:
        return parse_namespaces(Path(setting.value).read_text("utf-8"))
    except (OSError, UnicodeDecodeError, NamespaceFileError) as error:
        raise StartupError(f"{setting.name}: {error}") from error


def main(argv: list[str] | None = None) -> int:
    """Apply the topology and return the exit code; a mistake is one line.

    The code is 78 for a wrong setting, and 1 for a broker that is away or refuses.
    """
    parser = argparse.ArgumentParser(prog="warren-topology", description="Declare Warren's topology on a broker.")
    parser.add_argument("--amqp-url", help="default: $WARREN_AMQP_URL")
    parser.add_argument("--partitions", help=f"default: $WARREN_PARTITIONS, else {DEFAULT_PARTITIONS}")
    parser.add_argument("--namespaces", help="the namespace file; default: $WARREN_NAMESPACES_FILE, else none")
    arguments = parser.parse_args(argv)
    logging.disable()  # the AMQP client would add a traceback to the one line below
    try:
        url = _url(_Setting.of(arguments, "--amqp-url", "WARREN_AMQP_URL"))
        partitions = _partitions(_Setting.of(arguments, "--partitions", "WARREN_PARTITIONS"))
        namespaces = _namespaces(_Setting.of(arguments, "--namespaces", "WARREN_NAMESPACES_FILE"))
        asyncio.run(apply_topology(url, partitions=partitions, namespaces=namespaces))
    except StartupError as error:
        sys.stderr.write(f"warren-topology: {error}\n")
        return CONFIG_EXIT_CODE
    except BusError as error:
        sys.stderr.write(f"warren-topology: {driver.redact(url)}: {error}\n")
        return 1
    sys.stdout.write(f"warren-topology: applied to {driver.redact(url)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
