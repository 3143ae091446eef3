"""Who this gateway is, to clients and to the other services."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GatewayIdentity:
    """One run of one gateway process: a gateway incarnation."""

    gateway: str
    """The gateway's id; the ``node`` of a connect reply."""
    incarnation: str
    """Unique for every run."""
    started: float
    """Unix seconds at which the run began: what makes one run older than another."""
