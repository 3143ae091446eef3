"""What comes of each command of a client that has been let in."""

from __future__ import annotations

from typing import assert_never

from warren_gateway.domain.clients import Identity
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
    Effect,
    EndSubscription,
    Send,
    StartSubscription,
)
from warren_gateway.domain.encoding import client_info
from warren_gateway.domain.permissions import Permissions
from warren_gateway.domain.replies import EmptyReply, EmptyResult
from warren_gateway.domain.requests import Publish
from warren_gateway.domain.rules import SessionRules
from warren_gateway.domain.subscribing import PendingSubscription, client_subscription
from warren_shared.contracts.auth import Operation, RefreshRequest
from warren_shared.contracts.codes import Disconnect, Disconnects, ErrorCode, Errors
from warren_shared.contracts.envelope import ContractError
from warren_shared.contracts.history import ReadRequest
from warren_shared.contracts.namespaces import NamespaceOptions
from warren_shared.contracts.publication import check_payload

Outcome = list[Effect] | ErrorCode | Disconnect
"""What to do; or the error reply; or why the connection must be closed."""

_DELTA_TYPES = frozenset({"", "fossil"})


class Operations:
    """One connected client: what it may do, and what it is subscribed to."""

    __slots__ = ("_rules", "_traceparent", "identity", "named", "pending", "permissions", "refreshing", "subscriptions")

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
        self.pending: dict[str, PendingSubscription] = {}
        """Subscriptions that were started and are not answered yet, by channel."""

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
                return self._sub_refresh(request)
            case RpcCommand() | PingCommand():
                return Errors.NOT_AVAILABLE
            case SendCommand():
                return Disconnects.NOT_AVAILABLE
            case ConnectCommand() | None:
                return Disconnects.BAD_REQUEST
            case _:
                assert_never(request)

    def _subscribe(self, number: int, command: SubscribeCommand) -> Outcome:  # noqa: PLR0911 - one for each rule
        channel = command.channel
        if not channel or (command.delta or "") not in _DELTA_TYPES:
            return Disconnects.BAD_REQUEST
        options = self._rules.options_of(channel)
        if isinstance(options, ErrorCode):
            return options
        if channel in self.subscriptions:
            return Errors.ALREADY_SUBSCRIBED
        if len(self.subscriptions) + len(self.pending) >= self._rules.channel_limit:
            return Errors.LIMIT_EXCEEDED
        if not self.permissions.allow(Operation.SUBSCRIBE, channel, self.identity.user):
            return Errors.PERMISSION_DENIED
        if command.tf is not None:  # not offered; ignoring it would deliver what the client filters out
            return Errors.BAD_REQUEST
        pending = client_subscription(number, command, options, self.identity, self.permissions)
        self.pending[pending.request.channel] = pending
        return [StartSubscription(pending.request)]

    def _unsubscribe(self, number: int, command: UnsubscribeCommand) -> Outcome:
        """Never fails: the SDKs take an error for a broken connection."""
        if not command.channel:
            return Disconnects.BAD_REQUEST
        reply = Send(EmptyReply(number, EmptyResult.UNSUBSCRIBE))
        if self.subscriptions.pop(command.channel, None) is None:
            return [reply]
        return [EndSubscription(command.channel), reply]

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
            info=client_info(self.identity.member),
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

    def _refresh(self, number: int, token: str) -> Outcome:
        if not token:
            return Disconnects.BAD_REQUEST
        if self.refreshing:
            return Errors.TOO_MANY_REQUESTS
        self.refreshing = True
        identity = self.identity
        return [AskRefresh(number, RefreshRequest(client=identity.client, user=identity.user, token=token))]

    def _sub_refresh(self, command: SubRefreshCommand) -> Outcome:
        if not command.channel:
            return Disconnects.BAD_REQUEST
        if command.channel not in self.subscriptions:
            return Errors.PERMISSION_DENIED
        # No subscription expires: there are no subscription tokens yet.
        return Errors.NOT_AVAILABLE if command.token else Errors.BAD_REQUEST

    def _allowed(self, operation: Operation, channel: str) -> NamespaceOptions | ErrorCode:
        """Return the channel's options if the operation is on offer there and allowed."""
        options = self._rules.options_of(channel)
        if isinstance(options, ErrorCode):
            return options
        offered = {Operation.PRESENCE: options.presence, Operation.HISTORY: options.durable}
        if not offered.get(operation, True):
            return Errors.NOT_AVAILABLE
        subscribed = channel in self.subscriptions
        if not self.permissions.allow(operation, channel, self.identity.user, subscribed=subscribed):
            return Errors.PERMISSION_DENIED
        return options
