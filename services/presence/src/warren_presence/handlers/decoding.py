"""Reading deliveries: nothing that is malformed gets into a partition."""

from __future__ import annotations

import math
import re
from typing import Final, assert_never

import orjson

from warren_presence.domain.partition import Input, Report
from warren_presence.domain.questions import Question
from warren_shared.contracts.channels import ChannelNameError, check_channel, routing_key_of
from warren_shared.contracts.envelope import ContractError, decode_one_of
from warren_shared.contracts.presence import (
    Heartbeat,
    Joined,
    Left,
    Member,
    Probe,
    Query,
    Snapshot,
    Stopped,
    Synced,
)
from warren_shared.messaging.port import Delivery

_Known = Report | Stopped | Query | Probe
_TYPES: Final[tuple[type[_Known], ...]] = (Joined, Left, Snapshot, Query, Heartbeat, Stopped, Synced, Probe)
_GATEWAY_ID: Final = re.compile(r"[^.*#\s]{1,128}")
"""One word of a routing key: snapshot requests go to ``gateway.<id>``."""


def decode(delivery: Delivery) -> Input:
    """Return what a delivery says. Raises ContractError, which says why it cannot be used."""
    message = decode_one_of(delivery.body, *_TYPES)
    match message:
        case Probe():
            return message
        case Query():
            return _question(message, delivery)
        case Heartbeat() | Stopped() | Synced():
            _check_sender(message)
            return message
        case Joined() | Left():
            _check_sender(message)
            _check_channel(message.channel, delivery)
            return message.model_copy(update={"member": _checked(message.member)})
        case Snapshot():
            _check_sender(message)
            _check_channel(message.channel, delivery)
            return message.model_copy(update={"members": tuple(map(_checked, message.members))})
        case _:
            assert_never(message)


def _question(query: Query, delivery: Delivery) -> Question:
    _check_channel(query.channel, delivery)
    if not delivery.reply_to:
        raise ContractError("query says not where to reply")
    return Question(query.channel, query.stats, delivery.reply_to, delivery.correlation_id)


def _check_sender(report: Report | Stopped) -> None:
    if not _GATEWAY_ID.fullmatch(report.gateway):
        raise ContractError("gateway id is not one word of a routing key")
    if not report.incarnation:
        raise ContractError("incarnation is empty")
    if not math.isfinite(report.started):
        raise ContractError("started is no number")


def _check_channel(channel: str, delivery: Delivery) -> None:
    try:
        check_channel(channel)
    except ChannelNameError as error:
        raise ContractError(str(error)) from error
    if delivery.routing_key != routing_key_of(channel):
        # Its other messages go by its own key, perhaps to another partition.
        raise ContractError("routing key is not the channel's")


def _checked(member: Member) -> Member:
    """Return the member with infos that can be embedded in a protocol message of one line."""
    if not member.client:
        raise ContractError("a member's client id is empty")
    infos = {"conn_info": _one_line(member.conn_info), "chan_info": _one_line(member.chan_info)}
    if (member.conn_info, member.chan_info) == tuple(infos.values()):
        return member
    return member.model_copy(update=infos)


def _one_line(info: str | None) -> str | None:
    if info is None:
        return None
    try:
        orjson.loads(info)
    except orjson.JSONDecodeError as error:
        raise ContractError("a member's info is no JSON") from error
    # Between the tokens of a JSON text a line end is white space, inside of them it is not allowed.
    return info.replace("\r", " ").replace("\n", " ") if "\n" in info or "\r" in info else info
