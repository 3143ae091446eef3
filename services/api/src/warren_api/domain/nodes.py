"""Which gateways there are, by what they say of themselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from warren_shared.contracts.presence import HEARTBEAT_SECONDS, MISSED_BEATS, Heartbeat, Stopped

SILENCE: Final = HEARTBEAT_SECONDS * MISSED_BEATS
"""Seconds after which a gateway that says nothing is gone."""
MOST_NODES: Final = 10_000


@dataclass(frozen=True, slots=True)
class _Heard:
    beat: Heartbeat
    at: float


class Nodes:
    """The gateways that were heard of lately."""

    def __init__(self) -> None:
        self._heard: dict[str, _Heard] = {}

    def hear(self, message: Heartbeat | Stopped, now: float) -> None:
        """Take what a gateway says; ``now`` is the monotonic clock's."""
        if isinstance(message, Heartbeat):
            if message.gateway in self._heard or len(self._heard) < MOST_NODES:
                self._heard[message.gateway] = _Heard(message, now)
            return
        heard = self._heard.get(message.gateway)
        if heard is not None and heard.beat.incarnation == message.incarnation:
            del self._heard[message.gateway]

    def alive(self, now: float) -> Iterator[Heartbeat]:
        """Return the last heartbeat of every gateway there is, by name; forget the others."""
        self._heard = {name: heard for name, heard in self._heard.items() if now - heard.at < SILENCE}
        return (self._heard[name].beat for name in sorted(self._heard))


def info_result(nodes: Iterator[Heartbeat], now: float) -> dict[str, Any]:
    """Return the result of ``info``; ``now`` is Unix seconds."""
    return {"nodes": [_node(beat, now) for beat in nodes]}


def _node(beat: Heartbeat, now: float) -> dict[str, Any]:
    return {
        "uid": f"{beat.gateway}:{beat.incarnation}",
        "name": beat.gateway,
        "version": beat.version,
        "num_clients": beat.clients,
        "num_users": beat.users,
        "num_subs": beat.subscriptions,
        "num_channels": beat.channels,
        "uptime": max(0, int(now - beat.started)) if beat.started else 0,
    }
