"""docs/reference/topology.md and infra/rabbitmq/definitions.json: what exists on the broker."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Final

from warren_dev.reference.markdown import code, page, prose, table
from warren_shared.topology.access import ACCESS
from warren_shared.topology.catalogue import DEFAULT_PARTITIONS, history_partition, presence_partition, topology
from warren_shared.topology.declarations import Arguments
from warren_shared.topology.definitions import topology_definitions

DEFINITIONS_VHOST: Final = "warren"
"""As in `make run`, docker-compose.yml and the manual."""
_PARTITION_NAMES: Final = {history_partition(0): "warren.history.<n>", presence_partition(0): "warren.presence.<n>"}
"""The first partition stands for all of them."""

_INTRODUCTION = f"""
All of it is declared by `warren-provision` or `warren-topology` before the services start; no service may declare it.
[infra/rabbitmq/definitions.json](../../infra/rabbitmq/definitions.json) is the same for whoever imports definitions
instead (`rabbitmqctl import_definitions definitions.json`): the virtual host `{DEFINITIONS_VHOST}` with all of this and
without users. An import adds what is missing and says nothing about what differs.

Queues whose name ends in `<n>` exist once for each partition, {DEFAULT_PARTITIONS} by default. What all of it is for:
[ARCHITECTURE.md](../../ARCHITECTURE.md#the-broker).
"""

_NAMESPACES_TEXT = """
Two more bindings depend on the namespace file. History keeps them, at start and after every change of the file:
`warren.publish` to `warren.deliver` under `<namespace>.#` for a live namespace, `warren.publish` to `warren.history`
under the same key for a durable one. Channels without a namespace have the word `_`.

Besides, every process has exclusive queues of its own, under a new name for each connection:
`warren.<service>.<16 hex digits>` (what a gateway delivers from,
and one for what backends order of clients) and `warren.reply.<service>.<16 hex digits>`.
"""

_ACCESS_TEXT = """
Regular expressions, matched against the whole name. RabbitMQ asks for `configure` on declaring a queue, for `write`
on publishing and on the destination of a binding, for `read` on consuming and on the source of a binding. On a topic
exchange the routing key must match as well. `warren-provision` makes these users.
"""


def topology_page() -> str:
    """Return the page."""
    return page(
        "Topology",
        _INTRODUCTION,
        "## Exchanges\n\nAll are durable.",
        table(["exchange", "type", "arguments", "purpose"], _exchanges()),
        "## Queues\n\nAll are durable.",
        table(["queue", "consumed by", "arguments", "purpose"], _queues()),
        "## Bindings",
        table(["from", "to", "key"], _bindings()),
        _NAMESPACES_TEXT,
        "## Broker users",
        _ACCESS_TEXT,
        table(["user", "configure", "write", "read"], _users()),
        "Routing keys allowed on topic exchanges:",
        table(["user", "exchange", "publish under", "bind under"], _topics()),
    )


def definitions_json() -> str:
    """Return the topology as a file RabbitMQ imports. Users are not in it: their passwords are nobody's here."""
    return json.dumps(topology_definitions(topology(), vhost=DEFINITIONS_VHOST), indent=2) + "\n"


def _exchanges() -> Iterator[Sequence[str]]:
    for exchange in topology().exchanges:
        yield code(exchange.name), exchange.type, _arguments(exchange.arguments), prose(exchange.purpose)


def _queues() -> Iterator[Sequence[str]]:
    for queue in topology(1).queues:
        yield code(_named(queue.name)), queue.owner, _arguments(queue.arguments), prose(queue.purpose)


def _bindings() -> Iterator[Sequence[str]]:
    for binding in topology(1).bindings:
        yield code(binding.source), code(_named(binding.destination)), code(binding.routing_key)


def _users() -> Iterator[Sequence[str]]:
    for access in ACCESS:
        yield code(access.user), code(access.configure), code(access.write), code(access.read)


def _topics() -> Iterator[Sequence[str]]:
    for access in ACCESS:
        for topic in access.topics:
            yield code(access.user), code(topic.exchange), code(topic.write), code(topic.read)


def _named(queue: str) -> str:
    return _PARTITION_NAMES.get(queue, queue)


def _arguments(arguments: Arguments) -> str:
    return ", ".join(code(f"{name}={json.dumps(value)}") for name, value in arguments.items())
