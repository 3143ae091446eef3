"""What a partition wants done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from warren_shared.contracts.presence import Probe
from warren_shared.contracts.publication import DeliverType


@dataclass(frozen=True, slots=True)
class Announce:
    """Push a join or a leave to the channel."""

    type: DeliverType
    channel: str
    info: bytes
    """ClientInfo as JSON."""


@dataclass(frozen=True, slots=True)
class Turned:
    """Tell backends, where they are to know, that somebody is in a channel now, or nobody any more."""

    channel: str
    occupied: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """Reply to a query."""

    reply_to: str
    correlation_id: str | None
    body: bytes
    """An encoded Members, Stats or Failed."""


@dataclass(frozen=True, slots=True)
class SendProbe:
    """Send a probe to the partition's own queue."""

    probe: Probe


@dataclass(frozen=True, slots=True)
class Note:
    """Tell the operator."""

    event: str
    fields: Mapping[str, object] = field(default_factory=dict)
    alarming: bool = False


Effect = Announce | Turned | Answer | SendProbe | Note
