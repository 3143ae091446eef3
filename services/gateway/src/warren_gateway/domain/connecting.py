"""The states between a client's connect command and the reply to it."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Final

from warren_gateway.domain import client_events
from warren_gateway.domain.clients import Identity
from warren_gateway.domain.commands import SubscribeCommand
from warren_gateway.domain.connected import Connected
from warren_gateway.domain.effects import Effect, Identify, Send, StartSubscription, WakeAt
from warren_gateway.domain.events import (
    CloseRequested,
    CommandReceived,
    ConnectAnswered,
    Event,
    GarbageReceived,
    Ordered,
    RefreshOrdered,
    SubscribeAnswered,
    SubscribeOrdered,
    SubscriptionEnded,
    TimeElapsed,
    TransportClosed,
    UnsubscribeOrdered,
)
from warren_gateway.domain.keepalive import whole_seconds
from warren_gateway.domain.permissions import compile_grants
from warren_gateway.domain.replies import ConnectReply, ErrorReply, SubscribeResult
from warren_gateway.domain.requests import Subscribed
from warren_gateway.domain.rules import SessionRules
from warren_gateway.domain.states import State, Step, close, gone
from warren_gateway.domain.subscribing import PendingSubscription, server_subscription
from warren_shared.contracts.auth import Admitted, Refused
from warren_shared.contracts.codes import Disconnect, Disconnects, ErrorCode, Errors, Unsubscribe, Unsubscribes

_ENDS: Final = {
    Errors.TOKEN_EXPIRED.code: Disconnects.EXPIRED,
    Errors.EXPIRED.code: Disconnects.EXPIRED,
    Errors.TOO_MANY_REQUESTS.code: Disconnects.TOO_MANY_REQUESTS,
    Errors.PERMISSION_DENIED.code: Disconnects.PERMISSION_DENIED,
}
"""What ends the connection of a unidirectional client, which can be told no error."""


class Connecting:
    """Auth is asked, then the server-side subscriptions are made; commands wait meanwhile."""

    __slots__ = (
        "_admitted",
        "_client",
        "_deadline",
        "_expires_at",
        "_id",
        "_identity",
        "_orders",
        "_pending",
        "_resume",
        "_rules",
        "_sent",
        "_subs",
        "_traceparent",
    )

    def __init__(
        self,
        number: int,
        client: str,
        rules: SessionRules,
        resume: Mapping[str, SubscribeCommand],
        sent: bytes,
        traceparent: str | None,
        deadline: float,
    ) -> None:
        """``number`` is the connect command's id, ``resume`` what the client wants recovered of
        its server-side subscriptions, ``sent`` what is for backends.
        """
        self._sent = sent if rules.connection_events else b""
        self._id, self._client, self._rules = number, client, rules
        self._resume, self._traceparent, self._deadline = resume, traceparent, deadline
        self._admitted: Admitted | None = None
        self._identity = Identity(client)
        self._expires_at: float | None = None
        self._pending: dict[str, PendingSubscription] = {}
        self._subs: dict[str, SubscribeResult] = {}
        self._orders: list[Ordered] = []
        """What a backend ordered before the client was let in; carried out when it is."""

    @property
    def accepting(self) -> bool:
        return False

    def feed(self, event: Event, now: float) -> Step:  # noqa: C901, PLR0911 - one case for each event
        match event:
            case ConnectAnswered(Admitted() as admitted, ttl) if self._admitted is None:
                return self._admit(admitted, ttl, now)
            case ConnectAnswered(Refused() as refused) if self._admitted is None:
                return self._refuse(refused)
            case ConnectAnswered(ErrorCode()) if self._admitted is None:
                return self._close(Disconnects.INTERNAL)
            case SubscribeAnswered(channel, answer):
                return self._subscribed(channel, answer, now)
            case SubscriptionEnded(channel, reason):
                return self._ended(channel, reason)
            case CloseRequested(disconnect):
                return self._close(disconnect)
            case UnsubscribeOrdered() | SubscribeOrdered() | RefreshOrdered():
                return self._order(event)
            case TransportClosed():
                return gone((*self._pending, *self._subs))
            case CommandReceived() | GarbageReceived():
                return self._close(Disconnects.BAD_REQUEST)
            case TimeElapsed() if now >= self._deadline:
                return self._close(Disconnects.INTERNAL)
            case TimeElapsed():
                return self, [WakeAt(self._deadline)]
            case _:
                return self, []

    def _admit(self, admitted: Admitted, ttl: float | None, now: float) -> Step:
        if ttl is not None:
            if ttl <= 0:
                return close(Disconnects.EXPIRED)
            self._expires_at = now + ttl
        self._admitted = admitted
        self._identity = Identity(self._client, admitted.user, admitted.info)
        channels = tuple(dict.fromkeys(admitted.channels))
        if len(channels) > self._rules.channel_limit:
            return close(Disconnects.CHANNEL_LIMIT)
        for channel in channels:
            options = self._rules.subscribable(channel)
            if isinstance(options, ErrorCode):
                return self._reject(options)
            resume = self._resume.get(channel)
            self._pending[channel] = server_subscription(channel, resume, options, self._identity)
        identify = Identify(admitted.user)
        if not self._pending:
            state, effects = self._connected(admitted, now)
            return state, [identify, *effects]
        return self, [identify, *(StartSubscription(pending.request) for pending in self._pending.values())]

    def _refuse(self, refused: Refused) -> Step:
        if refused.disconnect:
            return close(Disconnect(refused.code, refused.reason))
        return self._reject(ErrorCode(refused.code, refused.reason, refused.temporary))

    def _reject(self, error: ErrorCode) -> Step:
        if self._rules.unidirectional:
            return close(_ENDS.get(error.code, Disconnects.INTERNAL))
        return Rejected(self._deadline), [Send(ErrorReply(self._id, error))]

    def _subscribed(self, channel: str, answer: Subscribed | ErrorCode, now: float) -> Step:
        pending = self._pending.pop(channel, None)
        if pending is None or self._admitted is None:
            return self, []
        if isinstance(answer, ErrorCode):
            return self._close(Disconnects.INTERNAL)
        self._subs[pending.request.channel] = pending.result(answer)
        return (self, []) if self._pending else self._connected(self._admitted, now)

    def _ended(self, channel: str, reason: Unsubscribe) -> Step:
        if self._subs.pop(channel, None) is None or reason != Unsubscribes.INSUFFICIENT_STATE:
            return self, []
        return self._close(Disconnects.INSUFFICIENT_STATE)

    def _connected(self, admitted: Admitted, now: float) -> Step:
        ttl = None if self._expires_at is None else self._expires_at - now
        connected = Connected(
            self._rules,
            self._identity,
            compile_grants(admitted.grants),
            dict.fromkeys(self._subs, True),
            self._traceparent,
            ttl,
            now,
        )
        announced = 0.0 if self._rules.frame_pings else self._rules.ping_interval
        reply = ConnectReply(
            id=self._id,
            client=self._client,
            version=self._rules.version,
            node=self._rules.node,
            session=self._rules.new_id(),
            ping=ceil(announced),
            pong=announced > 0 and self._rules.awaits_pongs,
            ttl=whole_seconds(ttl),
            subs=self._subs,
        )
        effects: list[Effect] = client_events.connected(self._rules, self._identity, self._sent)
        for channel in self._subs:
            effects += client_events.subscribed(self._rules, self._identity, channel)
        effects += [Send(reply), *connected.wake()]
        state: State = connected
        for order in self._orders:
            state, more = state.feed(order, now)
            effects += more
        return state, effects

    def _order(self, order: Ordered) -> Step:
        if len(self._orders) == self._rules.command_concurrency:
            return self._close(Disconnects.INTERNAL)  # it comes back, and then is what its token says
        self._orders.append(order)
        return self, []

    def _close(self, disconnect: Disconnect) -> Step:
        return close(disconnect, (*self._pending, *self._subs))


class Rejected:
    """The client was told that it may not connect; it is expected to go."""

    __slots__ = ("_stale_at",)

    def __init__(self, stale_at: float) -> None:
        self._stale_at = stale_at

    @property
    def accepting(self) -> bool:
        return True

    def feed(self, event: Event, now: float) -> Step:
        match event:
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
