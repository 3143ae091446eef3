"""What a client may ask: the requests of the client protocol, whatever encoding they came in.

A field that is absent, null or at its zero value means the same (protocol buffers semantics), hence
the ``None`` in every type. Fields Warren does not use are skipped by the decoder.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from warren_gateway.domain.tags_filter import FilterNode

REJECT_UNRECOVERED: Final = 2
"""Bit of ``SubscribeCommand.flag``: answer error 112 rather than ``recovered: false``."""

_Offset = Annotated[int, msgspec.Meta(ge=0)]
"""An unsigned 64-bit integer, as in the client protocol; no stream gets that far."""
_GREATEST_OFFSET: Final = 2**64 - 1


def _check_offset(offset: int | None) -> None:
    """Raise ValueError, which the decoder turns into its own error. Its bounds go to 63 bits only."""
    if offset is not None and offset > _GREATEST_OFFSET:
        raise ValueError("offset is over 64 bits")


class StreamPosition(msgspec.Struct, frozen=True, gc=False):
    """Where in a stream a client is."""

    offset: _Offset | None = None
    epoch: str | None = None

    def __post_init__(self) -> None:
        _check_offset(self.offset)


class SubscribeCommand(msgspec.Struct, frozen=True, gc=False):
    """Subscribe to a channel; in a connect command: what the client wants recovered there."""

    channel: str | None = None
    token: str | None = None
    recover: bool | None = None
    epoch: str | None = None
    offset: _Offset | None = None
    positioned: bool | None = None
    recoverable: bool | None = None
    join_leave: bool | None = None
    delta: str | None = None
    tf: FilterNode | None = None
    """A tags filter."""
    flag: int | None = None
    data: msgspec.Raw = msgspec.Raw()
    """For backends that hear of subscriptions; empty for none."""

    def __post_init__(self) -> None:
        _check_offset(self.offset)


class ConnectCommand(msgspec.Struct, frozen=True):
    """The first command of every connection."""

    token: str | None = None
    name: str | None = None
    version: str | None = None
    headers: dict[str, str] | None = None
    subs: dict[str, SubscribeCommand] | None = None
    data: msgspec.Raw = msgspec.Raw()
    """For backends that hear of connections; empty for none."""


class UnsubscribeCommand(msgspec.Struct, frozen=True, gc=False):
    """End a subscription."""

    channel: str | None = None


TOO_DEEP: Final = b"["
"""Stands for data nested deeper than can be decoded. It is no JSON, so it is refused as any such data is."""


class PublishCommand(msgspec.Struct, frozen=True, gc=False):
    """Publish to a channel; ``data`` is the very bytes the client sent, or TOO_DEEP."""

    channel: str | None = None
    data: bytes = b""


class PresenceCommand(msgspec.Struct, frozen=True, gc=False):
    """Ask who is in a channel."""

    channel: str | None = None


class PresenceStatsCommand(msgspec.Struct, frozen=True, gc=False):
    """Ask how many are in a channel."""

    channel: str | None = None


class HistoryCommand(msgspec.Struct, frozen=True):
    """Read a channel's stream."""

    channel: str | None = None
    limit: int | None = None
    since: StreamPosition | None = None
    reverse: bool | None = None


class PingCommand(msgspec.Struct, frozen=True, gc=False):
    """A ping by the client; no SDK sends one."""


class SendCommand(msgspec.Struct, frozen=True, gc=False):
    """A message that wants no reply; ``data`` as in a PublishCommand."""

    data: bytes = b""


class RpcCommand(msgspec.Struct, frozen=True, gc=False):
    """A call of a backend; ``data`` as in a PublishCommand."""

    method: str | None = None
    data: bytes = b""


class RefreshCommand(msgspec.Struct, frozen=True, gc=False):
    """Bring a new connection token."""

    token: str | None = None


class SubRefreshCommand(msgspec.Struct, frozen=True, gc=False):
    """Bring a new subscription token."""

    channel: str | None = None
    token: str | None = None


Request = (
    ConnectCommand
    | SubscribeCommand
    | UnsubscribeCommand
    | PublishCommand
    | PresenceCommand
    | PresenceStatsCommand
    | HistoryCommand
    | PingCommand
    | SendCommand
    | RpcCommand
    | RefreshCommand
    | SubRefreshCommand
)


class Command(msgspec.Struct, frozen=True, gc=False):
    """One command. ``request`` is None for the empty one, which answers a ping."""

    id: int
    """Above 0 wherever a reply is wanted."""
    request: Request | None


_METHODS: Final[dict[type[object], str]] = {
    ConnectCommand: "connect",
    SubscribeCommand: "subscribe",
    UnsubscribeCommand: "unsubscribe",
    PublishCommand: "publish",
    PresenceCommand: "presence",
    PresenceStatsCommand: "presence_stats",
    HistoryCommand: "history",
    PingCommand: "ping",
    SendCommand: "send",
    RpcCommand: "rpc",
    RefreshCommand: "refresh",
    SubRefreshCommand: "sub_refresh",
    type(None): "pong",
}
METHODS: Final = tuple(_METHODS.values())


def method_of(request: Request | None) -> str:
    """Return a request's name on the wire."""
    return _METHODS[type(request)]
