"""Which message travels where: who sends it, under which key, who receives it and what answers it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from warren_shared.contracts import auth, clients, control, history, occupancy, presence, rpc
from warren_shared.contracts.envelope import Message
from warren_shared.topology.catalogue import ControlKey, EventKey, ExchangeName, RpcKey, gateway_control_key

CHANNEL_KEY: Final = "{channel key}"
"""Stands for the routing key of any channel."""
DEFAULT_EXCHANGE: Final = ""
"""AMQP's nameless exchange, whose routing keys are names of queues."""
PRESENCE_PARTITION: Final = "warren.presence.{n}"
"""Stands for the queue of any partition of presence."""


@dataclass(frozen=True, slots=True)
class Route:
    """One way of a message."""

    message: type[Message]
    exchange: str
    key: str
    sender: str
    receiver: str
    replies: tuple[type[Message], ...] = ()
    """What the receiver may answer with, to the request's ``reply_to``."""


_ADMISSION: Final = (auth.Admitted, auth.Refused, rpc.Failed)
_PERMISSION: Final = (auth.Allowed, auth.Refused, rpc.Failed)

ROUTES: Final = (
    Route(auth.ConnectRequest, ExchangeName.RPC, RpcKey.AUTH_CONNECT, "gateway", "auth", _ADMISSION),
    Route(auth.RefreshRequest, ExchangeName.RPC, RpcKey.AUTH_REFRESH, "gateway", "auth", _ADMISSION),
    Route(auth.SubscribeRequest, ExchangeName.RPC, RpcKey.AUTH_SUBSCRIBE, "gateway", "auth", _PERMISSION),
    Route(auth.SubRefreshRequest, ExchangeName.RPC, RpcKey.AUTH_SUB_REFRESH, "gateway", "auth", _PERMISSION),
    Route(
        history.ReadRequest,
        ExchangeName.RPC,
        RpcKey.HISTORY_READ,
        "gateway",
        "history",
        (history.Page, rpc.Failed),
    ),
    Route(
        history.RemoveRequest,
        ExchangeName.RPC,
        RpcKey.HISTORY_REMOVE,
        "operators",
        "history",
        (history.Removed, rpc.Failed),
    ),
    Route(history.ReadRequest, ExchangeName.RPC, RpcKey.HISTORY_READ, "api", "history", (history.Page, rpc.Failed)),
    Route(
        history.RemoveRequest, ExchangeName.RPC, RpcKey.HISTORY_REMOVE, "api", "history", (history.Removed, rpc.Failed)
    ),
    Route(presence.Joined, ExchangeName.PRESENCE, CHANNEL_KEY, "gateway", "presence"),
    Route(presence.Left, ExchangeName.PRESENCE, CHANNEL_KEY, "gateway", "presence"),
    Route(presence.Snapshot, ExchangeName.PRESENCE, CHANNEL_KEY, "gateway", "presence"),
    Route(
        presence.Query,
        ExchangeName.PRESENCE,
        CHANNEL_KEY,
        "gateway",
        "presence",
        (presence.Members, presence.Stats, rpc.Failed),
    ),
    Route(
        presence.Query,
        ExchangeName.PRESENCE,
        CHANNEL_KEY,
        "api",
        "presence",
        (presence.Members, presence.Stats, rpc.Failed),
    ),
    Route(presence.Heartbeat, ExchangeName.EVENTS, EventKey.GATEWAY_HEARTBEAT, "gateway", "presence"),
    Route(presence.Heartbeat, ExchangeName.EVENTS, EventKey.GATEWAY_HEARTBEAT, "gateway", "api"),
    Route(presence.Stopped, ExchangeName.EVENTS, EventKey.GATEWAY_STOPPED, "gateway", "presence"),
    Route(presence.Stopped, ExchangeName.EVENTS, EventKey.GATEWAY_STOPPED, "gateway", "api"),
    Route(presence.Synced, ExchangeName.EVENTS, EventKey.GATEWAY_SYNCED, "gateway", "presence"),
    Route(clients.ClientConnected, ExchangeName.EVENTS, EventKey.CLIENT_CONNECTED, "gateway", "backends"),
    Route(clients.ClientDisconnected, ExchangeName.EVENTS, EventKey.CLIENT_DISCONNECTED, "gateway", "backends"),
    Route(clients.ClientSubscribed, ExchangeName.EVENTS, EventKey.CLIENT_SUBSCRIBED, "gateway", "backends"),
    Route(clients.ClientUnsubscribed, ExchangeName.EVENTS, EventKey.CLIENT_UNSUBSCRIBED, "gateway", "backends"),
    Route(occupancy.ChannelOccupied, ExchangeName.EVENTS, EventKey.CHANNEL_OCCUPIED, "presence", "backends"),
    Route(occupancy.ChannelVacated, ExchangeName.EVENTS, EventKey.CHANNEL_VACATED, "presence", "backends"),
    Route(presence.Probe, DEFAULT_EXCHANGE, PRESENCE_PARTITION, "presence", "presence"),
    Route(presence.SnapshotRequest, ExchangeName.CONTROL, ControlKey.ALL_PRESENCE, "presence", "gateway"),
    Route(presence.SnapshotRequest, ExchangeName.CONTROL, gateway_control_key("{id}"), "presence", "gateway"),
    Route(control.DisconnectOrder, ExchangeName.CONTROL, ControlKey.USER_DISCONNECT, "backend", "gateway"),
    Route(control.UnsubscribeOrder, ExchangeName.CONTROL, ControlKey.USER_UNSUBSCRIBE, "backend", "gateway"),
    Route(control.RefreshOrder, ExchangeName.CONTROL, ControlKey.USER_REFRESH, "backend", "gateway"),
    Route(control.SubscribeOrder, ExchangeName.CONTROL, ControlKey.USER_SUBSCRIBE, "backend", "gateway"),
    Route(control.DisconnectOrder, ExchangeName.CONTROL, ControlKey.USER_DISCONNECT, "api", "gateway"),
    Route(control.UnsubscribeOrder, ExchangeName.CONTROL, ControlKey.USER_UNSUBSCRIBE, "api", "gateway"),
    Route(control.RefreshOrder, ExchangeName.CONTROL, ControlKey.USER_REFRESH, "api", "gateway"),
    Route(control.SubscribeOrder, ExchangeName.CONTROL, ControlKey.USER_SUBSCRIBE, "api", "gateway"),
)
"""Every way a message between services takes. Publications are no such messages: see docs/backends.md."""


def routes_of(message: type[Message]) -> list[Route]:
    """Return the ways ``message`` takes as a request or an event."""
    return [route for route in ROUTES if route.message is message]


def answered_by(message: type[Message]) -> list[Route]:
    """Return the ways that ``message`` answers."""
    return [route for route in ROUTES if message in route.replies]
