"""How many are on a gateway, as its heartbeats say."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Census:
    """One count. What the fields mean stands in the contract of the heartbeat."""

    version: str = ""
    clients: int = 0
    users: int = 0
    channels: int = 0
    subscriptions: int = 0
