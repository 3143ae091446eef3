"""Snapshot requests, shared by the partitions of a process that want one at the same time.

A gateway's snapshot goes to every partition, so one request serves all that asked for it before it
was sent. One that asks later gets the next request: of an earlier one it may have missed a part.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SyncRequest:
    """A snapshot request to send."""

    sync: str
    gateway: str | None
    """None: to all gateways."""


class Syncs:
    """Collects what partitions want until it is sent."""

    def __init__(self, process: str) -> None:
        """``process`` must differ between all processes that ever ask gateways."""
        self._process = process
        self._made = 0
        self._wanted: dict[str | None, SyncRequest] = {}

    def want(self, gateway: str | None) -> str:
        """Ask a gateway, or all, for a snapshot; return the id that its answer will carry."""
        request = self._wanted.get(None) or self._wanted.get(gateway)
        if request is None:
            self._made += 1
            request = self._wanted[gateway] = SyncRequest(f"{self._process}-{self._made}", gateway)
        return request.sync

    def take(self) -> list[SyncRequest]:
        """Return what is to be sent now."""
        wanted, self._wanted = self._wanted, {}
        return list(wanted.values())

    def put_back(self, request: SyncRequest) -> None:
        """Have a request that could not be sent taken again."""
        self._wanted.setdefault(request.gateway, request)
