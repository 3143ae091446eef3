"""What backends are told of a connection, where the operator or the namespace asks for it.

Told before the client is: whatever goes wrong in telling the client, its end is told too.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from typing import Final

from warren_gateway.domain.clients import Identity
from warren_gateway.domain.effects import Effect, Tell
from warren_gateway.domain.rules import SessionRules
from warren_shared.contracts.clients import (
    ClientConnected,
    ClientDisconnected,
    ClientSubscribed,
    ClientUnsubscribed,
)
from warren_shared.contracts.codes import Disconnect, Unsubscribe
from warren_shared.contracts.envelope import ContractError
from warren_shared.contracts.publication import check_payload

BY_CLIENT: Final = Unsubscribe(0, "client unsubscribed")
BY_DISCONNECT: Final = Unsubscribe(1, "disconnected")


def connected(rules: SessionRules, identity: Identity, sent: bytes) -> list[Effect]:
    """Return what is told of a client that is let in; ``sent`` is what came with its connect."""
    if not rules.connection_events:
        return []
    data, binary = _told_data(sent)
    event = ClientConnected(
        gateway=rules.node,
        client=identity.client,
        user=identity.user,
        info=identity.info,
        data=data,
        binary=binary,
    )
    return [Tell(event)]


def disconnected(
    rules: SessionRules, identity: Identity, channels: Iterable[str], disconnect: Disconnect, seconds: float
) -> list[Effect]:
    """Return what is told of a client that is gone, and of the subscriptions that end with it."""
    told = [each for channel in channels for each in unsubscribed(rules, identity, channel, BY_DISCONNECT)]
    if not rules.connection_events:
        return told
    event = ClientDisconnected(
        gateway=rules.node,
        client=identity.client,
        user=identity.user,
        code=disconnect.code,
        reason=disconnect.reason,
        seconds=round(seconds, 3),
    )
    return [*told, Tell(event)]


def subscribed(rules: SessionRules, identity: Identity, channel: str, sent: bytes = b"") -> list[Effect]:
    """Return what is told of a subscription that stands; ``sent`` is what came with its subscribe."""
    if not _of_subscriptions(rules, channel):
        return []
    data, binary = _told_data(sent)
    event = ClientSubscribed(
        gateway=rules.node, client=identity.client, user=identity.user, channel=channel, data=data, binary=binary
    )
    return [Tell(event)]


def unsubscribed(rules: SessionRules, identity: Identity, channel: str, why: Unsubscribe) -> list[Effect]:
    """Return what is told of a subscription that is over."""
    if not _of_subscriptions(rules, channel):
        return []
    event = ClientUnsubscribed(
        gateway=rules.node,
        client=identity.client,
        user=identity.user,
        channel=channel,
        code=why.code,
        reason=why.reason,
    )
    return [Tell(event)]


def _told_data(sent: bytes) -> tuple[str | None, bool]:
    """Return data as contracts have it, and whether it is binary."""
    if not sent:
        return None, False
    try:
        check_payload(sent, "json")
    except ContractError:
        return b64encode(sent).decode(), True
    return sent.decode(), False


def _of_subscriptions(rules: SessionRules, channel: str) -> bool:
    options = rules.namespaces().of_channel(channel)
    return options is not None and options.subscription_events
