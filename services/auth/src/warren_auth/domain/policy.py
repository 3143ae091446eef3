"""Policy: what the namespace options allow whom, compiled into a few grants.

The number of grants depends on the number of namespaces alone, never on that of channels. An option
``allow_*_for_anonymous`` widens the option without it to anonymous users; by itself it allows nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from warren_shared.contracts.auth import Grant, GrantScope, Operation
from warren_shared.contracts.namespaces import NamespaceOptions, Namespaces

_NOTHING: frozenset[Operation] = frozenset()


class Policy:
    """The grants of one set of namespaces."""

    def __init__(self, namespaces: Namespaces) -> None:
        self._namespaces = namespaces
        self._compiled = {anonymous: _compile(namespaces, anonymous=anonymous) for anonymous in (False, True)}

    def grants(self, user: str) -> tuple[Grant, ...]:
        """Return what any user (an anonymous one if ``user`` is empty) may do by the options."""
        return self._compiled[not user]

    def knows(self, channel: str) -> bool:
        """Whether the channel's namespace exists."""
        return self._namespaces.of_channel(channel) is not None

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
    )
    return frozenset(
        operation for operation, for_users, for_anonymous in granted if for_users and (for_anonymous or not anonymous)
    )
