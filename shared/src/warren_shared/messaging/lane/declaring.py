"""The methods that declare, and what answers each; pamqp writes and reads them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from pamqp import base, commands
from pamqp.common import FieldTable

from warren_shared.messaging.port import HeaderValue
from warren_shared.topology.declarations import Binding, Exchange

Call = tuple[base.Frame, type[base.Frame]]
"""A method and its answer."""


def declare_exchange(exchange: Exchange) -> base.Frame:
    """Return the method that declares a durable exchange."""
    return commands.Exchange.Declare(
        exchange=exchange.name,
        exchange_type=exchange.type.value,
        durable=True,
        arguments=_arguments(exchange.arguments),
    )


def declare_queue(
    name: str, arguments: Mapping[str, HeaderValue], *, durable: bool, exclusive: bool, auto_delete: bool
) -> base.Frame:
    """Return the method that declares a queue."""
    return commands.Queue.Declare(
        queue=name,
        durable=durable,
        exclusive=exclusive,
        auto_delete=auto_delete,
        arguments=_arguments(arguments),
    )


def bind(binding: Binding) -> Call:
    """Return the method that makes a binding."""
    if binding.to_exchange:
        method = commands.Exchange.Bind(
            destination=binding.destination, source=binding.source, routing_key=binding.routing_key
        )
        return method, commands.Exchange.BindOk
    return (
        commands.Queue.Bind(queue=binding.destination, exchange=binding.source, routing_key=binding.routing_key),
        commands.Queue.BindOk,
    )


def unbind(binding: Binding) -> Call:
    """Return the method that removes a binding."""
    if binding.to_exchange:
        method = commands.Exchange.Unbind(
            destination=binding.destination, source=binding.source, routing_key=binding.routing_key
        )
        return method, commands.Exchange.UnbindOk
    return (
        commands.Queue.Unbind(queue=binding.destination, exchange=binding.source, routing_key=binding.routing_key),
        commands.Queue.UnbindOk,
    )


def _arguments(arguments: Mapping[str, HeaderValue]) -> FieldTable:
    return cast("FieldTable", dict(arguments))
