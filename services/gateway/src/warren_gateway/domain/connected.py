"""The state of a session whose client has been let in: the order of its commands, and its time.

Commands are begun in the order in which they came and then run side by side. One that names a
channel whose subscription is in progress waits for it, and so do those on that channel behind it.
"""

from __future__ import annotations

from collections import deque

from warren_gateway.domain.clients import Identity
from warren_gateway.domain.commands import Command, SendCommand
from warren_gateway.domain.effects import AWAITED, Effect, PingTransport, Send, WakeAt
from warren_gateway.domain.events import (
    Answered,
    CloseRequested,
    CommandReceived,
    Event,
    GarbageReceived,
    PongReceived,
    RefreshAnswered,
    SubscribeAnswered,
    SubscriptionEnded,
    TimeElapsed,
    TransportClosed,
)
from warren_gateway.domain.keepalive import NEVER, Keepalive, whole_seconds
from warren_gateway.domain.operations import Operations
from warren_gateway.domain.permissions import Permissions, compile_grants
from warren_gateway.domain.replies import ErrorReply, Ping, RefreshReply, SubscribeReply, UnsubscribePush, reply_to
from warren_gateway.domain.requests import Subscribed
from warren_gateway.domain.rules import SessionRules
from warren_gateway.domain.states import Step, close, gone
from warren_shared.contracts.auth import Admitted, Refused
from warren_shared.contracts.codes import Disconnect, Disconnects, ErrorCode, Unsubscribe, Unsubscribes


class Connected:
    """The client may give commands; each is answered once."""

    __slots__ = ("_delayed", "_keepalive", "_operations", "_outstanding", "_rules")

    def __init__(
        self,
        rules: SessionRules,
        identity: Identity,
        permissions: Permissions,
        server_subscriptions: dict[str, bool],
        traceparent: str | None,
        ttl: float | None,
        now: float,
    ) -> None:
        self._rules = rules
        self._operations = Operations(rules, identity, permissions, server_subscriptions, traceparent)
        self._keepalive = Keepalive(rules, now)
        self._keepalive.expire_after(ttl, rules, now)
        self._delayed: dict[str, deque[Command]] | None = None
        self._outstanding = 0

    @property
    def accepting(self) -> bool:
        return self._outstanding < self._rules.command_concurrency

    def wake(self) -> list[Effect]:
        """Return the effect that asks for the next look at the time."""
        at = self._keepalive.next_look()
        return [] if at == NEVER else [WakeAt(at)]

    def feed(self, event: Event, now: float) -> Step:  # noqa: C901, PLR0911 - one case for each event
        match event:
            case CommandReceived(command):
                return self._command(command)
            case Answered(number, answer):
                self._outstanding -= 1
                return self, [Send(reply_to(number, answer))]
            case SubscribeAnswered(channel, answer):
                return self._subscribed(channel, answer)
            case SubscriptionEnded(channel, reason):
                return self._ended(channel, reason)
            case RefreshAnswered(number, answer, ttl):
                self._outstanding -= 1
                self._operations.refreshing = False
                return self._refreshed(number, answer, ttl, now)
            case TimeElapsed(draining):
                return self._time_elapsed(draining=draining, now=now)
            case PongReceived():
                self._keepalive.pong()
                return self, []
            case GarbageReceived():
                return self._close(Disconnects.BAD_REQUEST)
            case CloseRequested(disconnect):
                return self._close(disconnect)
            case TransportClosed():
                return gone(self._channels())
            case _:
                return self, []

    def _command(self, command: Command) -> Step:
        if command.id == 0 and not isinstance(command.request, SendCommand):
            is_pong = command.request is None and self._keepalive.pong()
            return (self, []) if is_pong else self._close(Disconnects.BAD_REQUEST)
        channel = getattr(command.request, "channel", None)
        if channel in self._operations.pending:
            self._delay(channel, command)
            return self, []
        return self._perform(command)

    def _delay(self, channel: str, command: Command) -> None:
        if self._delayed is None:
            self._delayed = {}
        self._delayed.setdefault(channel, deque()).append(command)
        self._outstanding += 1

    def _perform(self, command: Command) -> Step:
        outcome = self._operations.perform(command)
        if isinstance(outcome, Disconnect):
            return self._close(outcome)
        if isinstance(outcome, ErrorCode):
            return self, [Send(ErrorReply(command.id, outcome))]
        if isinstance(outcome[0], AWAITED):
            self._outstanding += 1
        return self, outcome

    def _subscribed(self, channel: str, answer: Subscribed | ErrorCode) -> Step:
        operations = self._operations
        pending = operations.pending.pop(channel, None)
        if pending is None:
            return self, []
        self._outstanding -= 1
        effects: list[Effect]
        if isinstance(answer, ErrorCode):
            effects = [Send(ErrorReply(pending.id, answer))]
        else:
            operations.subscriptions[pending.request.channel] = False
            effects = [Send(SubscribeReply(pending.id, pending.result(answer)))]
        return self._release(channel, effects)

    def _release(self, channel: str, effects: list[Effect]) -> Step:
        """Perform what waited for the channel, up to a new subscribe to it."""
        waiting = self._delayed.pop(channel, None) if self._delayed else None
        while waiting:
            if channel in self._operations.pending and self._delayed is not None:
                self._delayed[channel] = waiting
                break
            self._outstanding -= 1
            state, more = self._perform(waiting.popleft())
            effects += more
            if state is not self:
                return state, effects
        return self, effects

    def _ended(self, channel: str, reason: Unsubscribe) -> Step:
        by_server = self._operations.subscriptions.pop(channel, None)
        if by_server is None:
            return self, []
        if by_server and reason == Unsubscribes.INSUFFICIENT_STATE:
            # An SDK cannot make a server-side subscription anew but by connecting anew.
            return self._close(Disconnects.INSUFFICIENT_STATE)
        return self, [Send(UnsubscribePush(channel, reason))]

    def _refreshed(self, number: int, answer: Admitted | Refused | ErrorCode, ttl: float | None, now: float) -> Step:
        match answer:
            case ErrorCode():
                return self, [Send(ErrorReply(number, answer))]
            case Refused(disconnect=True):
                return self._close(Disconnect(answer.code, answer.reason))
            case Refused():
                return self, [Send(ErrorReply(number, ErrorCode(answer.code, answer.reason, answer.temporary)))]
            case Admitted():
                return self._prolong(number, answer, ttl, now)

    def _prolong(self, number: int, admitted: Admitted, ttl: float | None, now: float) -> Step:
        operations = self._operations
        if ttl is not None and ttl <= 0:
            return self._close(Disconnects.EXPIRED)
        if operations.named != set(admitted.channels):
            # The new token names other channels: connecting anew is how the client gets them right.
            return self._close(Disconnects.INSUFFICIENT_STATE)
        identity = operations.identity
        operations.identity = Identity(identity.client, identity.user, admitted.info)
        operations.permissions = compile_grants(admitted.grants)
        self._keepalive.expire_after(ttl, self._rules, now)
        reply = RefreshReply(number, identity.client, self._rules.version, whole_seconds(ttl))
        return self, [Send(reply), *self.wake()]

    def _time_elapsed(self, *, draining: bool, now: float) -> Step:
        if draining:
            self._keepalive.wait_on(self._rules, now)
        overdue = self._keepalive.overdue(now)
        if overdue is not None:
            return self._close(overdue)
        if self._keepalive.ping_due(self._rules, now):
            ping = PingTransport() if self._rules.frame_pings else Send(Ping())
            return self, [ping, *self.wake()]
        return self, self.wake()

    def _channels(self) -> tuple[str, ...]:
        return (*self._operations.subscriptions, *self._operations.pending)

    def _close(self, disconnect: Disconnect) -> Step:
        return close(disconnect, self._channels())
