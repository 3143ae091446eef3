"""What a declaration is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

Arguments = Mapping[str, str | int | bool]


def _no_arguments() -> Arguments:
    return MappingProxyType({})


class ExchangeType(StrEnum):
    """The exchange types Warren uses."""

    TOPIC = "topic"
    CONSISTENT_HASH = "x-consistent-hash"


@dataclass(frozen=True, slots=True)
class Exchange:
    """A durable exchange."""

    name: str
    type: ExchangeType
    purpose: str
    arguments: Arguments = field(default_factory=_no_arguments, hash=False)


@dataclass(frozen=True, slots=True)
class Queue:
    """A durable queue."""

    name: str
    owner: str
    """The service that consumes it."""
    purpose: str
    arguments: Arguments = field(default_factory=_no_arguments, hash=False)


@dataclass(frozen=True, slots=True)
class Binding:
    """From an exchange to a queue or, with ``to_exchange``, to another exchange."""

    source: str
    destination: str
    routing_key: str
    to_exchange: bool = False


@dataclass(frozen=True, slots=True)
class Topology:
    """Everything that must exist before the services start, in the order of declaration."""

    exchanges: tuple[Exchange, ...]
    queues: tuple[Queue, ...]
    bindings: tuple[Binding, ...]
