"""What a state of a session is, and the last one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from warren_gateway.domain.effects import Close, Effect, EndSubscription
from warren_gateway.domain.events import Event
from warren_shared.contracts.codes import Disconnect


class State(Protocol):
    """One state; ``feed`` returns the state after the event and the effects to perform, in order."""

    @property
    def accepting(self) -> bool:
        """Whether commands may be fed now."""

    def feed(self, event: Event, now: float) -> Step:
        """Take an event at ``now`` (seconds, monotonic)."""


Step = tuple[State, list[Effect]]


class Closed:
    """Nothing happens any more."""

    __slots__ = ()

    @property
    def accepting(self) -> bool:
        return False

    def feed(self, _event: Event, _now: float) -> Step:
        return self, []


_CLOSED = Closed()


def close(disconnect: Disconnect, channels: Iterable[str] = ()) -> Step:
    """Leave all ``channels`` and close."""
    state, effects = gone(channels)
    return state, [*effects, Close(disconnect)]


def gone(channels: Iterable[str] = ()) -> Step:
    """Leave all ``channels``; the transport is gone already."""
    return _CLOSED, [EndSubscription(channel) for channel in channels]
