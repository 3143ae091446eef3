"""What a connection may do, compiled from auth's grants into a few dictionary look-ups."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from warren_shared.contracts.auth import Grant, GrantScope, Operation
from warren_shared.contracts.channels import is_pattern, is_private, namespace_of, users_of

_BITS: Final = {operation: 1 << place for place, operation in enumerate(Operation)}
_IF_SUBSCRIBED: Final = {
    Operation.PUBLISH: Operation.PUBLISH_IF_SUBSCRIBED,
    Operation.PRESENCE: Operation.PRESENCE_IF_SUBSCRIBED,
    Operation.HISTORY: Operation.HISTORY_IF_SUBSCRIBED,
}


@dataclass(frozen=True, slots=True)
class Permissions:
    """Bit sets of operations by namespace and by channel; equal grants share one instance."""

    namespaces: dict[str, int]
    user_limited: dict[str, int]
    channels: dict[str, int]

    def allow(self, operation: Operation, channel: str, user: str, *, subscribed: bool = False) -> bool:
        """Whether ``user`` may do ``operation`` on ``channel`` now."""
        wanted = _BITS[operation]
        if subscribed and operation in _IF_SUBSCRIBED:
            wanted |= _BITS[_IF_SUBSCRIBED[operation]]
        return bool(wanted & (self.channels.get(channel, 0) | self._by_namespace(channel, user)))

    def _by_namespace(self, channel: str, user: str) -> int:
        if is_private(channel):
            return 0
        namespace = namespace_of(channel)
        if is_pattern(channel):
            # A grant of the namespace is one of all channels that a pattern shows: no private or user-limited ones.
            return self.namespaces.get(namespace, 0)
        users = users_of(channel)
        if users is None:
            return self.namespaces.get(namespace, 0)
        # "#" with nothing behind it names the empty user: that is nobody, not every anonymous one.
        return self.user_limited.get(namespace, 0) if user and user in users else 0


@lru_cache(maxsize=1024)
def compile_grants(grants: tuple[Grant, ...]) -> Permissions:
    """Return the permissions that ``grants`` add up to. Most users of a system share a few sets of grants."""
    return Permissions(
        _of_scope(grants, GrantScope.NAMESPACE),
        _of_scope(grants, GrantScope.USER_LIMITED),
        _of_scope(grants, GrantScope.CHANNEL),
    )


def _of_scope(grants: Iterable[Grant], scope: GrantScope) -> dict[str, int]:
    bits: dict[str, int] = {}
    for grant in grants:
        if grant.scope is scope:
            bits[grant.target] = bits.get(grant.target, 0) | sum(_BITS[operation] for operation in grant.operations)
    return bits
