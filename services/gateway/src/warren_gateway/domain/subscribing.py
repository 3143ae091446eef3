"""How a subscription's terms follow from what the client asks and what the namespace allows."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from warren_gateway.domain.clients import Identity
from warren_gateway.domain.commands import REJECT_UNRECOVERED, SubscribeCommand
from warren_gateway.domain.replies import SubscribeResult
from warren_gateway.domain.requests import Subscribe, Subscribed
from warren_gateway.domain.tags_filter import TagsFilter
from warren_shared.contracts.auth import Operation
from warren_shared.contracts.channels import is_pattern
from warren_shared.contracts.namespaces import NamespaceOptions
from warren_shared.contracts.publication import Position

_ANYWHERE: Final = Position("", 0)


@dataclass(frozen=True, slots=True)
class PendingSubscription:
    """A subscription that was started and is not answered yet."""

    id: int
    """The command's; 0 for a server-side subscription."""
    request: Subscribe
    ttl: int | None = None
    data: bytes | None = None
    """As in SubscribeResult."""
    sent: bytes = b""
    """What the client sent with it, for backends that are told of subscriptions."""

    def result(self, subscribed: Subscribed) -> SubscribeResult:
        """Return what the client is told."""
        request = self.request
        return SubscribeResult(
            subscribed, request.recoverable, request.positioned, ttl=self.ttl, data=self.data, delta=request.delta
        )


def client_subscription(
    command_id: int,
    command: SubscribeCommand,
    options: NamespaceOptions,
    identity: Identity,
    may: Callable[[Operation], bool],
    info: str | None = None,
) -> PendingSubscription:
    """Return the terms of a subscription the client asked for and may have; ``may`` says what else it may do
    there, ``info`` is its user's info there as JSON text.

    Who may read a channel's history may recover from it too, and who may see its presence may
    follow joins and leaves (as in the reference server).
    """
    channel = command.channel or ""
    recoverable = options.force_recovery or bool(
        command.recoverable and options.durable and (options.allow_recovery or may(Operation.HISTORY))
    )
    positioned = options.force_positioning or bool(
        command.positioned and options.durable and (options.allow_positioning or may(Operation.HISTORY))
    )
    join_leave = options.force_push_join_leave or bool(
        command.join_leave and options.join_leave and may(Operation.PRESENCE)
    )
    subscribe = _subscribe(channel, options, identity, recoverable, positioned, join_leave, command, info)
    if command.tf is not None:  # what was filtered out is no base for a delta
        subscribe = replace(subscribe, tags_filter=TagsFilter(command.tf), delta=False)
    return PendingSubscription(command_id, subscribe, sent=bytes(command.data) if options.subscription_events else b"")


def server_subscription(
    channel: str,
    resume: SubscribeCommand | None,
    options: NamespaceOptions,
    identity: Identity,
    info: str | None = None,
) -> PendingSubscription:
    """Return the terms of a server-side subscription; ``resume`` is what the client wants recovered, ``info``
    its user's info there as JSON text.
    """
    return PendingSubscription(
        0,
        _subscribe(
            channel,
            options,
            identity,
            options.force_recovery,
            options.force_positioning,
            options.force_push_join_leave,
            resume,
            info,
        ),
    )


def _subscribe(
    channel: str,
    options: NamespaceOptions,
    identity: Identity,
    recoverable: bool,
    positioned: bool,
    join_leave: bool,
    command: SubscribeCommand | None,
    info: str | None = None,
) -> Subscribe:
    if is_pattern(channel):
        return Subscribe(sys.intern(channel))  # of what it matches as it comes: no position, no presence
    asked = _recover_from(command, recoverable) if command is not None else None
    unasked = asked is None and recoverable and options.auto_cache_recover
    return Subscribe(
        # Interned: one string for all subscribers of a channel, not one for each.
        channel=sys.intern(channel),
        recoverable=recoverable,
        positioned=positioned or recoverable,
        recover_from=_ANYWHERE if unasked else asked,
        unasked=unasked,
        reject_unrecovered=command is not None and bool((command.flag or 0) & REJECT_UNRECOVERED),
        delta=command is not None and (positioned or recoverable) and command.delta in options.allowed_delta_types,
        push_join_leave=join_leave,
        member=identity.member_in(info) if options.presence or options.join_leave else None,
        announce=options.join_leave,
    )


def _recover_from(command: SubscribeCommand, recoverable: bool) -> Position | None:
    return Position(command.epoch or "", command.offset or 0) if recoverable and command.recover else None
