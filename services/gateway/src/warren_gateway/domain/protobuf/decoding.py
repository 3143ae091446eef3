"""Messages of a client into commands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec
from google.protobuf.message import DecodeError

from warren_gateway.domain import commands
from warren_gateway.domain.encoding import UndecodableError
from warren_gateway.domain.protobuf import client_pb2 as pb
from warren_gateway.domain.protobuf.wire import WireError, next_message
from warren_gateway.domain.tags_filter import FilterNode


def decode(frame: bytes) -> Iterator[commands.Command]:
    """Yield a frame's commands, each behind its length, decoding it only when it is wanted. Raises UndecodableError."""
    if not frame:
        raise UndecodableError("frame is empty")
    at = 0
    while at < len(frame):
        try:
            message, at = next_message(frame, at)
            command = pb.Command.FromString(message)
        except (WireError, DecodeError) as error:
            raise UndecodableError("message is no command") from error
        yield _command(command)


def _command(command: pb.Command) -> commands.Command:
    for name, request_of in _REQUESTS.items():
        if command.HasField(name):
            return commands.Command(command.id, request_of(getattr(command, name)))
    return commands.Command(command.id, None)


def _connect(request: pb.ConnectRequest) -> commands.ConnectCommand:
    return commands.ConnectCommand(
        token=request.token,
        name=request.name,
        version=request.version,
        headers=dict(request.headers),
        data=msgspec.Raw(request.data),
        subs={channel: _subscribe(sub) for channel, sub in request.subs.items()},
    )


def _subscribe(request: pb.SubscribeRequest) -> commands.SubscribeCommand:
    return commands.SubscribeCommand(
        channel=request.channel,
        token=request.token,
        recover=request.recover,
        epoch=request.epoch,
        offset=request.offset,
        positioned=request.positioned,
        recoverable=request.recoverable,
        join_leave=request.join_leave,
        delta=request.delta,
        tf=_filter(request.tf) if request.HasField("tf") else None,
        flag=request.flag,
        data=msgspec.Raw(request.data),
    )


def _filter(node: pb.FilterNode) -> FilterNode:
    return FilterNode(node.op, node.key, node.cmp, node.val, tuple(node.vals), tuple(map(_filter, node.nodes)))


def _history(request: pb.HistoryRequest) -> commands.HistoryCommand:
    since = commands.StreamPosition(request.since.offset, request.since.epoch) if request.HasField("since") else None
    return commands.HistoryCommand(request.channel, request.limit, since, request.reverse)


_REQUESTS: Final[dict[Any, Callable[[Any], commands.Request]]] = {
    "connect": _connect,
    "subscribe": _subscribe,
    "unsubscribe": lambda request: commands.UnsubscribeCommand(request.channel),
    "publish": lambda request: commands.PublishCommand(request.channel, request.data),
    "presence": lambda request: commands.PresenceCommand(request.channel),
    "presence_stats": lambda request: commands.PresenceStatsCommand(request.channel),
    "history": _history,
    "ping": lambda _: commands.PingCommand(),
    "send": lambda request: commands.SendCommand(request.data),
    "rpc": lambda request: commands.RpcCommand(request.method, request.data),
    "refresh": lambda request: commands.RefreshCommand(request.token),
    "sub_refresh": lambda request: commands.SubRefreshCommand(request.channel, request.token),
}
"""By field of Command, in the order in which they count."""
