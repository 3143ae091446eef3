"""How the AsyncAPI document speaks of exchanges, queues and routing keys."""

from __future__ import annotations

from typing import Any, Final

from warren_shared.topology.catalogue import topology
from warren_shared.topology.declarations import Exchange, ExchangeType

CHANNEL_PARAMETER: Final = (
    "The routing key of a channel: namespace:rest travels as namespace.rest, a channel without a namespace as _.rest."
)
GATEWAY_PARAMETER: Final = "The id of a gateway."
PARTITION_PARAMETER: Final = "The number of a partition."
BINDING_VERSION: Final = "0.3.0"


def exchange_named(name: str) -> Exchange:
    """Return an exchange of the topology."""
    return next(exchange for exchange in topology().exchanges if exchange.name == name)


def queue_binding(name: str) -> dict[str, Any]:
    """Return the AMQP binding of a channel that is a queue, reached by way of the default exchange."""
    described = {"name": name, "durable": True, "exclusive": False, "autoDelete": False, "vhost": "/"}
    return {"is": "queue", "queue": described, "bindingVersion": BINDING_VERSION}


def exchange_binding(name: str) -> dict[str, Any]:
    """Return the AMQP binding of a channel that is a routing key on an exchange."""
    exchange = exchange_named(name)
    described: dict[str, Any] = {"name": str(exchange.name), "durable": True, "autoDelete": False, "vhost": "/"}
    if exchange.type is ExchangeType.TOPIC:
        described["type"] = exchange.type.value  # the binding's specification knows no plugin's types
    return {"is": "routingKey", "exchange": described, "bindingVersion": BINDING_VERSION}
