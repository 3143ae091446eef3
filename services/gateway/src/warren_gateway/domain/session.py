"""The session core: one connection's protocol state, without I/O.

``Session.feed(event, now)`` returns the effects to perform, in order. The states are types of their
own, so that what needs an identity cannot be reached without one::

    AwaitingConnect -> Connecting -> Connected -> Closed
                           |                        ^
                           +-> Rejected ------------+
"""

from __future__ import annotations

import re
from typing import Final

from warren_gateway.domain.commands import Command, ConnectCommand
from warren_gateway.domain.connecting import Connecting
from warren_gateway.domain.effects import AskConnect, Effect, WakeAt
from warren_gateway.domain.events import (
    CloseRequested,
    CommandReceived,
    Event,
    GarbageReceived,
    Opened,
    TimeElapsed,
    TransportClosed,
)
from warren_gateway.domain.rules import SessionRules
from warren_gateway.domain.states import Closed, State, Step, close, gone
from warren_shared.contracts.auth import ConnectRequest
from warren_shared.contracts.clients import MAX_DATA_BYTES
from warren_shared.contracts.codes import Disconnects

_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


class Session:
    """One connection, from its opening to its end."""

    __slots__ = ("_state",)

    def __init__(self, client: str, rules: SessionRules) -> None:
        self._state: State = AwaitingConnect(client, rules)

    @property
    def accepting(self) -> bool:
        """Whether commands may be fed: not while a connect is being decided, nor while as many
        commands are in work as may be. Whoever has more waits with them.
        """
        return self._state.accepting

    @property
    def connecting(self) -> bool:
        """Whether the client has not been told yet that it is let in."""
        return isinstance(self._state, AwaitingConnect | Connecting)

    @property
    def closed(self) -> bool:
        """Whether it is over."""
        return isinstance(self._state, Closed)

    def feed(self, event: Event, now: float) -> list[Effect]:
        """Take an event at ``now`` (seconds, monotonic) and return what is to be done. Never raises."""
        self._state, effects = self._state.feed(event, now)
        return effects


class AwaitingConnect:
    """The client must send a connect command, in time and before anything else."""

    __slots__ = ("_client", "_rules", "_stale_at", "_traceparent")

    def __init__(self, client: str, rules: SessionRules) -> None:
        self._client, self._rules = client, rules
        self._stale_at = 0.0
        self._traceparent: str | None = None

    @property
    def accepting(self) -> bool:
        return True

    def feed(self, event: Event, now: float) -> Step:  # noqa: PLR0911 - one case for each event
        match event:
            case Opened(traceparent):
                self._stale_at, self._traceparent = now + self._rules.stale_timeout, traceparent
                return self, [WakeAt(self._stale_at)]
            case CommandReceived(Command(id=number, request=ConnectCommand() as connect)) if number > 0:
                return self._connect(number, connect, now)
            case CommandReceived() | GarbageReceived():
                return close(Disconnects.BAD_REQUEST)
            case CloseRequested(disconnect):
                return close(disconnect)
            case TransportClosed():
                return gone()
            case TimeElapsed() if now >= self._stale_at:
                return close(Disconnects.STALE)
            case TimeElapsed():
                return self, [WakeAt(self._stale_at)]
            case _:
                return self, []

    def _connect(self, number: int, command: ConnectCommand, now: float) -> Step:
        request = ConnectRequest(
            client=self._client, token=command.token or "", name=command.name or "", version=command.version or ""
        )
        traceparent = (command.headers or {}).get("traceparent") or self._traceparent
        if traceparent is not None and not _TRACEPARENT.fullmatch(traceparent):
            traceparent = None
        # Auth's answer has a deadline of its own; this one also covers server-side subscriptions.
        deadline = now + self._rules.stale_timeout
        sent = bytes(command.data)
        if len(sent) > MAX_DATA_BYTES:
            return close(Disconnects.BAD_REQUEST)
        connecting = Connecting(number, self._client, self._rules, command.subs or {}, sent, traceparent, deadline)
        return connecting, [AskConnect(request), WakeAt(deadline)]
