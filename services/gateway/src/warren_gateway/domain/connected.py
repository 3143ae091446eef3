"""The state of a session whose client has been let in: the order of its commands, and its time.

Commands are begun in the order in which they came and then run side by side. One that names a
channel whose subscription is in progress waits for it, and so do those on that channel behind it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from warren_gateway.domain import client_events
from warren_gateway.domain.clients import Identity
from warren_gateway.domain.commands import Command, SendCommand
from warren_gateway.domain.effects import (
    AWAITED,
    Effect,
    EndSubscription,
    PingTransport,
    RefuseOrder,
    Send,
    StartSubscription,
    WakeAt,
)
from warren_gateway.domain.events import (
    Answered,
    CloseRequested,
    CommandReceived,
    Event,
    GarbageReceived,
    PongReceived,
    RefreshAnswered,
    RefreshOrdered,
    SubRefreshAnswered,
    SubscribeAnswered,
    SubscribeDecided,
    SubscribeOrdered,
    SubscriptionEnded,
    TimeElapsed,
    TransportClosed,
    UnsubscribeOrdered,
)
from warren_gateway.domain.keepalive import NEVER, Keepalive, whole_seconds
from warren_gateway.domain.operations import Operations
from warren_gateway.domain.permissions import Permissions, compile_grants
from warren_gateway.domain.replies import (
    ErrorReply,
    Ping,
    RefreshPush,
    RefreshReply,
    SubRefreshReply,
    SubscribePush,
    SubscribeReply,
    UnsubscribePush,
    reply_to,
)
from warren_gateway.domain.requests import Subscribed
from warren_gateway.domain.rules import SessionRules
from warren_gateway.domain.states import Step, close, gone
from warren_gateway.domain.subscribing import PendingSubscription, server_subscription
from warren_gateway.domain.token_subscriptions import PendingDecision
from warren_shared.contracts.auth import Admitted, Allowed, Refused
from warren_shared.contracts.codes import Disconnect, Disconnects, ErrorCode, Errors, Unsubscribe, Unsubscribes

_Waiting = Command | UnsubscribeOrdered | SubscribeOrdered


class Connected:
    """The client may give commands; each is answered once."""

    __slots__ = ("_delayed", "_keepalive", "_now", "_operations", "_outstanding", "_rules", "_since")

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
        self._since = self._now = now
        self._operations = Operations(rules, identity, permissions, server_subscriptions, traceparent)
        self._keepalive = Keepalive(rules, now)
        self._keepalive.expire_after(ttl, rules, now)
        self._delayed: dict[str, deque[_Waiting]] | None = None
        self._outstanding = 0

    @property
    def accepting(self) -> bool:
        return self._outstanding < self._rules.command_concurrency

    def wake(self) -> list[Effect]:
        """Return the effect that asks for the next look at the time."""
        tokens = self._operations.tokens
        at = min(self._keepalive.next_look(), NEVER if tokens is None else tokens.next_look())
        return [] if at == NEVER else [WakeAt(at)]

    def feed(self, event: Event, now: float) -> Step:  # noqa: C901, PLR0911, PLR0912 - one case for each event
        self._now = now
        match event:
            case CommandReceived(command):
                return self._command(command)
            case Answered(number, answer):
                self._outstanding -= 1
                return self, [Send(reply_to(number, answer))]
            case SubscribeDecided(channel, answer, ttl):
                return self._decided(channel, answer, ttl)
            case SubscribeAnswered(channel, answer):
                return self._subscribed(channel, answer)
            case SubRefreshAnswered():
                self._outstanding -= 1
                return self._sub_refreshed(event)
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
            case UnsubscribeOrdered(channel) | SubscribeOrdered(channel):
                return self._channel_order(channel, event)
            case RefreshOrdered():
                return self._refresh_ordered(event, now)
            case CloseRequested(disconnect):
                return self._close(disconnect)
            case TransportClosed():
                told = self._told_of_end(Disconnects.CONNECTION_CLOSED)
                state, effects = gone(self._channels())
                return state, [*told, *effects]
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

    def _channel_order(self, channel: str, order: UnsubscribeOrdered | SubscribeOrdered) -> Step:
        if channel not in self._operations.pending:
            return self._carry_out(order)
        if not self.accepting:
            return self._close(Disconnects.INTERNAL)  # it comes back, and then is what its token says
        self._delay(channel, order)
        return self, []

    def _delay(self, channel: str, command: _Waiting) -> None:
        if self._delayed is None:
            self._delayed = {}
        self._delayed.setdefault(channel, deque()).append(command)
        self._outstanding += 1

    def _perform(self, command: _Waiting) -> Step:
        if not isinstance(command, Command):
            return self._carry_out(command)
        outcome = self._operations.perform(command)
        if isinstance(outcome, Disconnect):
            return self._close(outcome)
        if isinstance(outcome, ErrorCode):
            return self, [Send(ErrorReply(command.id, outcome))]
        if isinstance(outcome[0], AWAITED):
            self._outstanding += 1
        return self, outcome

    def _carry_out(self, order: UnsubscribeOrdered | SubscribeOrdered) -> Step:
        operations, channel = self._operations, order.channel
        if isinstance(order, UnsubscribeOrdered):
            if operations.leave(channel) is None:
                return self, []
            told = client_events.unsubscribed(self._rules, operations.identity, channel, Unsubscribes.SERVER)
            return self, [*told, EndSubscription(channel), Send(UnsubscribePush(channel, Unsubscribes.SERVER))]
        if channel in operations.subscriptions:
            return self, []
        pending = self._ordered_subscription(order)
        if isinstance(pending, ErrorCode):
            return self, [RefuseOrder(pending)]
        operations.pending[pending.request.channel] = pending
        self._outstanding += 1
        return self, [StartSubscription(pending.request)]

    def _ordered_subscription(self, order: SubscribeOrdered) -> PendingSubscription | ErrorCode:
        operations, channel = self._operations, order.channel
        options = self._rules.subscribable(channel)
        if isinstance(options, ErrorCode):
            return options
        if len(operations.subscriptions) + len(operations.pending) >= self._rules.channel_limit:
            return Errors.LIMIT_EXCEEDED
        if order.info is not None:
            operations.inform(channel, order.info)
        pending = server_subscription(channel, None, options, operations.identity, order.info)
        return replace(pending, data=order.data)

    def _decided(self, channel: str, answer: Allowed | Refused | ErrorCode, ttl: float | None) -> Step:
        pending = self._operations.pending.get(channel)
        if not isinstance(pending, PendingDecision):
            return self, []
        begun: StartSubscription | ErrorCode
        match answer:
            case Allowed() if ttl is None or ttl > 0:
                begun = self._operations.allowed_by_token(pending, answer, ttl)
            case Allowed():
                begun = Errors.EXPIRED
            case Refused(disconnect=True):
                return self._close(Disconnect(answer.code, answer.reason))
            case Refused():
                begun = ErrorCode(answer.code, answer.reason, answer.temporary)
            case ErrorCode():
                begun = answer
        if isinstance(begun, StartSubscription):
            return self, [begun]
        del self._operations.pending[channel]
        self._outstanding -= 1
        return self._release(channel, [Send(ErrorReply(pending.id, begun))])

    def _sub_refreshed(self, event: SubRefreshAnswered) -> Step:
        tokens, number, answer, ttl = self._operations.tokens, event.id, event.answer, event.ttl
        stands = tokens is not None and tokens.end_refresh(event.channel, number)
        match answer:
            case ErrorCode():
                return self, [Send(ErrorReply(number, answer))]
            case Refused(disconnect=True):
                return self._close(Disconnect(answer.code, answer.reason))
            case Refused():
                return self, [Send(ErrorReply(number, ErrorCode(answer.code, answer.reason, answer.temporary)))]
            case Allowed() if ttl is not None and ttl <= 0:
                return self, [Send(ErrorReply(number, Errors.EXPIRED))]
            case Allowed() if tokens is not None and stands:
                tokens.put(event.channel, answer, ttl, self._rules.expired_subscription_close_delay)
                tokens.begin(event.channel, self._now)
                return self, [Send(SubRefreshReply(number, whole_seconds(ttl))), *self.wake()]
            case Allowed():
                return self, [Send(ErrorReply(number, Errors.PERMISSION_DENIED))]

    def _expire_subscriptions(self, now: float) -> list[Effect]:
        tokens, effects = self._operations.tokens, list[Effect]()
        for channel in () if tokens is None else tokens.overdue(now):
            self._operations.leave(channel)
            effects += client_events.unsubscribed(self._rules, self._operations.identity, channel, Unsubscribes.EXPIRED)
            effects += [EndSubscription(channel), Send(UnsubscribePush(channel, Unsubscribes.EXPIRED))]
        return effects

    def _subscribed(self, channel: str, answer: Subscribed | ErrorCode) -> Step:
        operations = self._operations
        pending = operations.pending.get(channel)
        if not isinstance(pending, PendingSubscription):
            return self, []
        del operations.pending[channel]
        self._outstanding -= 1
        ordered = pending.id == 0
        effects: list[Effect]
        if isinstance(answer, ErrorCode):
            operations.leave(channel)
            effects = [RefuseOrder(answer) if ordered else Send(ErrorReply(pending.id, answer))]
        else:
            operations.subscriptions[pending.request.channel] = ordered
            result = pending.result(answer)
            told = client_events.subscribed(self._rules, operations.identity, channel, pending.sent)
            effects = [*told, Send(SubscribePush(channel, result) if ordered else SubscribeReply(pending.id, result))]
            if operations.tokens is not None:
                operations.tokens.begin(channel, self._now)
                effects += self.wake()
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
        by_server = self._operations.leave(channel)
        if by_server is None:
            return self, []
        told = client_events.unsubscribed(self._rules, self._operations.identity, channel, reason)
        if by_server and reason == Unsubscribes.INSUFFICIENT_STATE:
            # An SDK cannot make a server-side subscription anew but by connecting anew.
            state, effects = self._close(Disconnects.INSUFFICIENT_STATE)
            return state, [*told, *effects]
        return self, [*told, Send(UnsubscribePush(channel, reason))]

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

    def _refresh_ordered(self, order: RefreshOrdered, now: float) -> Step:
        if order.expires and order.ttl <= 0:
            return self._close(Disconnects.EXPIRED)
        if order.info is not None:
            identity = self._operations.identity
            self._operations.identity = Identity(identity.client, identity.user, order.info)
        ttl = whole_seconds(order.ttl) if order.expires else None
        if ttl is None:
            return self, []
        self._keepalive.expire_after(order.ttl, self._rules, now)
        return self, [Send(RefreshPush(ttl)), *self.wake()]

    def _time_elapsed(self, *, draining: bool, now: float) -> Step:
        if draining:
            self._keepalive.wait_on(self._rules, now)
        overdue = self._keepalive.overdue(now)
        if overdue is not None:
            return self._close(overdue)
        effects = self._expire_subscriptions(now)
        if self._keepalive.ping_due(self._rules, now):
            effects.append(PingTransport() if self._rules.frame_pings else Send(Ping()))
        return self, [*effects, *self.wake()]

    def _channels(self) -> tuple[str, ...]:
        return (*self._operations.subscriptions, *self._operations.pending)

    def _close(self, disconnect: Disconnect) -> Step:
        told = self._told_of_end(disconnect)
        state, effects = close(disconnect, self._channels())
        return state, [*told, *effects]

    def _told_of_end(self, disconnect: Disconnect) -> list[Effect]:
        operations, seconds = self._operations, self._now - self._since
        return client_events.disconnected(
            self._rules, operations.identity, operations.subscriptions, disconnect, seconds
        )
