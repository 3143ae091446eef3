"""Policy: what the namespace options allow whom, compiled into a few grants.

The number of grants depends on the number of namespaces alone, never on that of channels. An option
``allow_*_for_anonymous`` widens the option without it to anonymous users; by itself it allows nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from warren_shared.contracts.auth import Grant, GrantScope, Operation
from warren_shared.contracts.channels import ChannelNameError, check_channel, is_pattern
from warren_shared.contracts.namespaces import NamespaceOptions, Namespaces

_NOTHING: frozenset[Operation] = frozenset()
_USERS_APART = frozenset("#,")
"""What stands between users in the name of a user-limited channel."""


class Policy:
    """The grants of one set of namespaces."""

    def __init__(self, namespaces: Namespaces, *, insecure: bool = False) -> None:
        """``insecure``: everybody may do everything on the channels of all namespaces, but for private and user-limited
        ones, which their names say whose they are.
        """
        self._namespaces = namespaces
        compiled = _everything if insecure else _compile
        self._compiled = {anonymous: compiled(namespaces, anonymous=anonymous) for anonymous in (False, True)}

    def grants(self, user: str) -> tuple[Grant, ...]:
        """Return what any user (an anonymous one if ``user`` is empty) may do by the options."""
        return self._compiled[not user]

    def knows(self, channel: str) -> bool:
        """Whether the channel's namespace exists."""
        return self._namespaces.of_channel(channel) is not None

    def names(self, channel: str) -> bool:
        """Whether a channel of its namespace may have its name."""
        options = self._namespaces.of_channel(channel)
        return options is None or options.names(channel)

    def personal_channels(self, user: str) -> tuple[str, ...]:
        """Return the channels that are the user's own; none where no channel's name can say whose it is."""
        if not user or not _USERS_APART.isdisjoint(user):
            return ()
        channels = (f"{name}:#{user}" if name else f"#{user}" for name in self._namespaces.personal)
        return tuple(channel for channel in channels if _is_legal(channel) and self.names(channel))

    def shows_pattern(self, channel: str) -> bool:
        """Whether it is a pattern of channels, and its namespace allows those."""
        options = self._namespaces.of_channel(channel) if is_pattern(channel) else None
        return options is not None and options.allow_patterns

    def channel_grants(self, user: str, channels: Iterable[str]) -> tuple[Grant, ...]:
        """Return what a token that names ``channels`` adds: subscribing to exactly these.

        Everything else on them is as the namespace's options say. It is repeated here because the
        namespace's own grant leaves out private and user-limited channels.
        """
        return tuple(self._channel_grant(user, channel) for channel in channels)

    def _channel_grant(self, user: str, channel: str) -> Grant:
        options = self._namespaces.of_channel(channel)
        usual = _operations(options, anonymous=not user) if options else _NOTHING
        return Grant(scope=GrantScope.CHANNEL, target=channel, operations=usual | {Operation.SUBSCRIBE})


def _is_legal(channel: str) -> bool:
    try:
        check_channel(channel)
    except ChannelNameError:
        return False
    return True


def _everything(namespaces: Namespaces, *, anonymous: bool) -> tuple[Grant, ...]:
    everything = frozenset(Operation)
    grants = [Grant(scope=GrantScope.NAMESPACE, target=name, operations=everything) for name in namespaces.by_name]
    limited = [grant for grant in _compile(namespaces, anonymous=anonymous) if grant.scope is GrantScope.USER_LIMITED]
    return (*grants, *limited)


def _compile(namespaces: Namespaces, *, anonymous: bool) -> tuple[Grant, ...]:
    grants: list[Grant] = []
    for name, options in namespaces.by_name.items():
        usual = _operations(options, anonymous=anonymous)
        if usual:
            grants.append(Grant(scope=GrantScope.NAMESPACE, target=name, operations=usual))
        # An anonymous user has no name to be listed under; "room#" must not count as listing one.
        if options.allow_user_limited_channels and not anonymous:
            limited = usual | {Operation.SUBSCRIBE}
            grants.append(Grant(scope=GrantScope.USER_LIMITED, target=name, operations=limited))
    return tuple(grants)


def _operations(options: NamespaceOptions, *, anonymous: bool) -> frozenset[Operation]:
    granted = (
        (Operation.SUBSCRIBE, options.allow_subscribe_for_client, options.allow_subscribe_for_anonymous),
        (Operation.PUBLISH, options.allow_publish_for_client, options.allow_publish_for_anonymous),
        (Operation.PUBLISH_IF_SUBSCRIBED, options.allow_publish_for_subscriber, options.allow_publish_for_anonymous),
        (Operation.PRESENCE, options.allow_presence_for_client, options.allow_presence_for_anonymous),
        (Operation.PRESENCE_IF_SUBSCRIBED, options.allow_presence_for_subscriber, options.allow_presence_for_anonymous),
        (Operation.HISTORY, options.allow_history_for_client, options.allow_history_for_anonymous),
        (Operation.HISTORY_IF_SUBSCRIBED, options.allow_history_for_subscriber, options.allow_history_for_anonymous),
        (Operation.RPC, options.allow_rpc_for_client, options.allow_rpc_for_anonymous),
    )
    return frozenset(
        operation for operation, for_users, for_anonymous in granted if for_users and (for_anonymous or not anonymous)
    )
