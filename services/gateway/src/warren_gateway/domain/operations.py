"""What comes of each command of a client that has been let in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import assert_never

from warren_gateway.domain import client_events
from warren_gateway.domain.client_info import client_info
from warren_gateway.domain.clients import Identity, json_or_none
from warren_gateway.domain.commands import (
    Command,
    ConnectCommand,
    HistoryCommand,
    PingCommand,
    PresenceCommand,
    PresenceStatsCommand,
    PublishCommand,
    RefreshCommand,
    RpcCommand,
    SendCommand,
    SubRefreshCommand,
    SubscribeCommand,
    UnsubscribeCommand,
)
from warren_gateway.domain.effects import (
    AskHistory,
    AskPresence,
    AskPresenceStats,
    AskPublish,
    AskRefresh,
    AskRpc,
    AskSubRefresh,
    AskSubscribe,
    Effect,
    EndSubscription,
    Send,
    StartSubscription,
    Tell,
)
from warren_gateway.domain.keepalive import whole_seconds
from warren_gateway.domain.permissions import Permissions
from warren_gateway.domain.replies import EmptyReply, EmptyResult
from warren_gateway.domain.requests import Call, ClientMessage, Publish
from warren_gateway.domain.rules import SessionRules
from warren_gateway.domain.subscribing import PendingSubscription, client_subscription
from warren_gateway.domain.tags_filter import FilterNode, TagsFilter, TagsFilterError
from warren_gateway.domain.token_subscriptions import PendingDecision, TokenSubscriptions
from warren_shared.contracts.auth import Allowed, Operation, RefreshRequest, SubRefreshRequest, SubscribeRequest
from warren_shared.contracts.clients import MAX_DATA_BYTES
from warren_shared.contracts.codes import Disconnect, Disconnects, ErrorCode, Errors
from warren_shared.contracts.envelope import ContractError
from warren_shared.contracts.history import ReadRequest
from warren_shared.contracts.namespaces import NamespaceOptions
from warren_shared.contracts.presence import Member
from warren_shared.contracts.publication import check_payload
from warren_shared.contracts.rpc import METHOD_NAME

Outcome = list[Effect] | ErrorCode | Disconnect
"""What to do; or the error reply; or why the connection must be closed."""

_NO_DATA = b"null"
_DELTA_TYPES = frozenset({"", "fossil"})


class Operations:
    """One connected client: what it may do, and what it is subscribed to."""

    __slots__ = (
        "_rules",
        "_traceparent",
        "identity",
        "named",
        "pending",
        "permissions",
        "refreshing",
        "subscriptions",
        "tokens",
    )

    def __init__(
        self,
        rules: SessionRules,
        identity: Identity,
        permissions: Permissions,
        subscriptions: dict[str, bool],
        traceparent: str | None,
    ) -> None:
        self._rules, self._traceparent = rules, traceparent
        self.identity, self.permissions = identity, permissions
        self.subscriptions = subscriptions
        """By channel; True for those the server made."""
        self.named = frozenset(subscriptions)
        """The channels the connection's token names, whether or not the client has left them meanwhile."""
        self.refreshing = False
        """Whether auth is being asked about a new token."""
        self.pending: dict[str, PendingSubscription | PendingDecision] = {}
        """Subscriptions that are not answered yet, by channel: auth decides on a token, or they were started."""
        self.tokens: TokenSubscriptions | None = None
        """Made with the first token for a channel: most connections bring none."""

    def perform(self, command: Command) -> Outcome:  # noqa: C901, PLR0911 - one case for each command
        """Decide on a command that names no channel with a subscription in progress."""
        number, request = command.id, command.request
        match request:
            case SubscribeCommand():
                return self._subscribe(number, request)
            case UnsubscribeCommand():
                return self._unsubscribe(number, request)
            case PublishCommand():
                return self._publish(number, request)
            case PresenceCommand() | PresenceStatsCommand():
                return self._presence(number, request)
            case HistoryCommand():
                return self._history(number, request)
            case RefreshCommand(token):
                return self._refresh(number, token or "")
            case SubRefreshCommand():
                return self._sub_refresh(number, request)
            case RpcCommand():
                return self._rpc(number, request)
            case PingCommand():
                return Errors.NOT_AVAILABLE
            case SendCommand(data):
                return self._send(data)
            case ConnectCommand() | None:
                return Disconnects.BAD_REQUEST
            case _:
                assert_never(request)

    def _subscribe(self, number: int, command: SubscribeCommand) -> Outcome:  # noqa: PLR0911 - one for each rule
        channel = command.channel
        if not channel or (command.delta or "") not in _DELTA_TYPES:
            return Disconnects.BAD_REQUEST
        options = self._rules.subscribable(channel)
        if isinstance(options, ErrorCode):
            return options
        if len(bytes(command.data)) > MAX_DATA_BYTES:
            return Errors.BAD_REQUEST
        if channel in self.subscriptions:
            return Errors.ALREADY_SUBSCRIBED
        if len(self.subscriptions) + len(self.pending) >= self._rules.channel_limit:
            return Errors.LIMIT_EXCEEDED
        if command.tf is not None and not _usable(command.tf, options):
            return Errors.BAD_REQUEST
        if command.token:
            self.pending[channel] = PendingDecision(number, command)
            request = SubscribeRequest(
                client=self.identity.client, user=self.identity.user, channel=channel, token=command.token
            )
            return [AskSubscribe(request)]
        if not self.permissions.allow(Operation.SUBSCRIBE, channel, self.identity.user):
            return Errors.PERMISSION_DENIED
        return [self._start(client_subscription(number, command, options, self.identity, self._may_in(channel)))]

    def allowed_by_token(
        self, decided: PendingDecision, allowed: Allowed, ttl: float | None
    ) -> StartSubscription | ErrorCode:
        """Begin a subscription whose token does; returns the effect, or what has become of the channel meanwhile."""
        number, command, rules = decided.id, decided.command, self._rules
        channel = command.channel or ""
        options = rules.subscribable(channel)
        if isinstance(options, ErrorCode):
            return options
        if self.tokens is None:
            self.tokens = TokenSubscriptions()
        self.tokens.put(channel, allowed, ttl, rules.expired_subscription_close_delay)
        info, data = self.tokens.info(channel), json_or_none(allowed.data)
        pending = client_subscription(number, command, options, self.identity, self._may_in(channel), info)
        return self._start(replace(pending, ttl=whole_seconds(ttl), data=None if data is None else data.encode()))

    def inform(self, channel: str, info: str) -> None:
        """Take note of the user's info in a channel, as JSON text, until it is left."""
        if self.tokens is None:
            self.tokens = TokenSubscriptions()
        self.tokens.put(channel, Allowed(info=info), None, 0.0)

    def leave(self, channel: str) -> bool | None:
        """Forget a subscription; returns whether the server made it, None if there is none."""
        if self.tokens is not None:
            self.tokens.drop(channel)
        return self.subscriptions.pop(channel, None)

    def _start(self, pending: PendingSubscription) -> StartSubscription:
        self.pending[pending.request.channel] = pending
        return StartSubscription(pending.request)

    def _unsubscribe(self, number: int, command: UnsubscribeCommand) -> Outcome:
        """Never fails: the SDKs take an error for a broken connection."""
        if not command.channel:
            return Disconnects.BAD_REQUEST
        reply = Send(EmptyReply(number, EmptyResult.UNSUBSCRIBE))
        if self.leave(command.channel) is None:
            return [reply]
        told = client_events.unsubscribed(self._rules, self.identity, command.channel, client_events.BY_CLIENT)
        return [*told, EndSubscription(command.channel), reply]

    def _publish(self, number: int, command: PublishCommand) -> Outcome:
        if not command.channel or not command.data:
            return Disconnects.BAD_REQUEST
        options = self._allowed(Operation.PUBLISH, command.channel)
        if isinstance(options, ErrorCode):
            return options
        try:
            check_payload(command.data, options.publication_data_format)
        except ContractError:
            return Errors.BAD_REQUEST
        publication = Publish(
            channel=command.channel,
            data=command.data,
            info=client_info(self._member_in(command.channel)),
            message_id=self._rules.new_id(),
            durable=options.durable,
            traceparent=self._traceparent,
        )
        return [AskPublish(number, publication)]

    def _presence(self, number: int, command: PresenceCommand | PresenceStatsCommand) -> Outcome:
        if not command.channel:
            return Disconnects.BAD_REQUEST
        options = self._allowed(Operation.PRESENCE, command.channel)
        if isinstance(options, ErrorCode):
            return options
        if isinstance(command, PresenceCommand):
            return [AskPresence(number, command.channel)]
        return [AskPresenceStats(number, command.channel)]

    def _history(self, number: int, command: HistoryCommand) -> Outcome:
        if not command.channel:
            return Disconnects.BAD_REQUEST
        options = self._allowed(Operation.HISTORY, command.channel)
        if isinstance(options, ErrorCode):
            return options
        limit, cap = command.limit or 0, self._rules.history_limit
        request = ReadRequest(
            channel=command.channel,
            limit=limit if 0 <= limit <= cap else cap,
            since_offset=None if command.since is None else command.since.offset or 0,
            reverse=bool(command.reverse),
        )
        return [AskHistory(number, request)]

    def _rpc(self, number: int, command: RpcCommand) -> Outcome:
        method, data, identity = command.method or "", command.data or _NO_DATA, self.identity
        options = self._rules.namespaces().of_channel(method)
        if options is None or not options.allow_rpc_for_client:
            return Errors.NOT_AVAILABLE
        if not METHOD_NAME.fullmatch(method):
            return Errors.BAD_REQUEST
        if not self.permissions.allow(Operation.RPC, method, identity.user):
            return Errors.PERMISSION_DENIED
        try:
            check_payload(data, "json")
        except ContractError:
            return Errors.BAD_REQUEST
        return [AskRpc(number, Call(method, data, identity.user, identity.client, identity.info, self._traceparent))]

    def _send(self, data: bytes) -> Outcome:
        """Nothing can be answered: what is wrong closes the connection."""
        if not self._rules.client_messages:
            return Disconnects.NOT_AVAILABLE
        data, identity = data or _NO_DATA, self.identity
        try:
            check_payload(data, "json")
        except ContractError:
            return Disconnects.BAD_REQUEST
        return [Tell(ClientMessage(data, identity.user, identity.client, identity.info))]

    def _refresh(self, number: int, token: str) -> Outcome:
        if not token:
            return Disconnects.BAD_REQUEST
        if self.refreshing:
            return Errors.TOO_MANY_REQUESTS
        self.refreshing = True
        identity = self.identity
        return [AskRefresh(number, RefreshRequest(client=identity.client, user=identity.user, token=token))]

    def _sub_refresh(self, number: int, command: SubRefreshCommand) -> Outcome:
        channel, token, identity = command.channel, command.token, self.identity
        if not channel:
            return Disconnects.BAD_REQUEST
        if channel not in self.subscriptions:
            return Errors.PERMISSION_DENIED
        if self.tokens is None or channel not in self.tokens:
            return Disconnects.BAD_REQUEST  # as the client protocol has it where the client need not refresh
        if not token:
            return Errors.BAD_REQUEST
        if not self.tokens.begin_refresh(channel, number):
            return Errors.TOO_MANY_REQUESTS
        request = SubRefreshRequest(client=identity.client, user=identity.user, channel=channel, token=token)
        return [AskSubRefresh(number, request)]

    def _member_in(self, channel: str) -> Member:
        return self.identity.member_in(None if self.tokens is None else self.tokens.info(channel))

    def _may_in(self, channel: str) -> Callable[[Operation], bool]:
        """Return what says what the client may do on a channel as its subscriber."""
        return lambda operation: self._may(operation, channel, subscribed=True)

    def _may(self, operation: Operation, channel: str, *, subscribed: bool) -> bool:
        user = self.identity.user
        if self.permissions.allow(operation, channel, user, subscribed=subscribed):
            return True
        return subscribed and self.tokens is not None and self.tokens.allow(operation, channel, user)

    def _allowed(self, operation: Operation, channel: str) -> NamespaceOptions | ErrorCode:
        """Return the channel's options if the operation is on offer there and allowed."""
        options = self._rules.options_of(channel)
        if isinstance(options, ErrorCode):
            return options
        offered = {Operation.PRESENCE: options.presence, Operation.HISTORY: options.durable}
        if not offered.get(operation, True):
            return Errors.NOT_AVAILABLE
        if not self._may(operation, channel, subscribed=channel in self.subscriptions):
            return Errors.PERMISSION_DENIED
        return options


def _usable(tags_filter: FilterNode, options: NamespaceOptions) -> bool:
    """Whether a filter means something, and may; to ignore one would deliver what the client filters out."""
    try:
        TagsFilter(tags_filter)
    except TagsFilterError:
        return False
    return options.allow_tags_filter
