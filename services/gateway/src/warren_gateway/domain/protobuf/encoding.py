"""The client protocol in Protobuf: frames into commands, replies into bytes.

Replies to single clients are written by the generated classes. Publications in them are encoded
already, the same for everybody; they are put behind the rest of their result, which in Protobuf is
the same as having them inside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, cast

from warren_gateway.domain import replies
from warren_gateway.domain.client_info import shown_info
from warren_gateway.domain.commands import Command
from warren_gateway.domain.encoding import UnencodableError
from warren_gateway.domain.protobuf import client_pb2 as pb
from warren_gateway.domain.protobuf.decoding import decode
from warren_gateway.domain.protobuf.deltas import ProtobufDeltaPushHead, delta_publication
from warren_gateway.domain.protobuf.pushes import ProtobufPushHead, client_info_of, protobuf_publication
from warren_gateway.domain.protobuf.wire import field
from warren_gateway.domain.publications import Publication, stored_publication
from warren_gateway.domain.replies import Reply, SubscribeResult

_KEY: Final = 1
_VALUE: Final = 2
"""The fields of an entry of a map (the language guide of Protobuf 3: maps)."""


class ProtobufEncoding:
    """The client protocol in Protobuf. Implements Encoding."""

    @property
    def whole(self) -> ProtobufEncoding:
        return _WHOLE

    @property
    def delta(self) -> ProtobufEncoding:
        return _DELTA

    def decode(self, frame: bytes) -> Iterator[Command]:
        return decode(frame)

    def encode(self, reply: Reply) -> bytes:
        """Return a reply as a message without its length; a ping is empty. Raises UnencodableError alone."""
        try:
            return _ENCODERS[type(reply)](reply)
        except Exception as error:
            raise UnencodableError(f"{type(error).__name__}: {error}") from error

    def publication(self, publication: Publication) -> bytes:
        return protobuf_publication(publication)

    def head(self, channel: str) -> ProtobufPushHead:
        return ProtobufPushHead(channel)


class _ProtobufWhole(ProtobufEncoding):
    """The same; another object, because who is written in it is written in another one from then on."""


class _ProtobufDelta(ProtobufEncoding):
    def publication(self, publication: Publication) -> bytes:
        return delta_publication(publication)

    def head(self, channel: str) -> ProtobufPushHead:
        return ProtobufDeltaPushHead(channel, self)


_WHOLE: Final = _ProtobufWhole()
_DELTA: Final = _ProtobufDelta()


def _error(reply: replies.ErrorReply) -> bytes:
    error = pb.Error(code=reply.error.code, message=reply.error.message, temporary=reply.error.temporary)
    return pb.Reply(id=reply.id, error=error).SerializeToString()


def _empty(reply: replies.EmptyReply) -> bytes:
    encoded = pb.Reply(id=reply.id)
    getattr(encoded, reply.result.value).SetInParent()
    return encoded.SerializeToString()


def _connect(reply: replies.ConnectReply) -> bytes:
    result = pb.ConnectResult(
        client=reply.client,
        version=reply.version,
        expires=reply.ttl is not None,
        ttl=reply.ttl,
        ping=reply.ping,
        pong=reply.pong and reply.ping > 0,
        session=reply.session,
        node=reply.node,
    )
    subs = (
        field(_KEY, channel.encode()) + field(_VALUE, _subscription(subscription))
        for channel, subscription in reply.subs.items()
    )
    encoded = result.SerializeToString() + _repeated(pb.ConnectResult.SUBS_FIELD_NUMBER, subs)
    return _reply(reply.id, pb.Reply.CONNECT_FIELD_NUMBER, encoded)


def _refresh(reply: replies.RefreshReply) -> bytes:
    result = pb.RefreshResult(client=reply.client, version=reply.version, expires=reply.ttl is not None, ttl=reply.ttl)
    return pb.Reply(id=reply.id, refresh=result).SerializeToString()


def _subscribe(reply: replies.SubscribeReply) -> bytes:
    return _reply(reply.id, pb.Reply.SUBSCRIBE_FIELD_NUMBER, _subscription(reply.result))


def _subscription(result: SubscribeResult) -> bytes:
    subscribed = result.subscribed
    position = subscribed.position if result.positioned else None
    encoded = pb.SubscribeResult(
        recoverable=result.recoverable,
        positioned=result.positioned,
        epoch=None if position is None else position.epoch,
        offset=None if position is None else position.offset,
        was_recovering=subscribed.was_recovering,
        recovered=subscribed.recovered,
        expires=result.ttl is not None,
        ttl=result.ttl,
        data=result.data,
        delta=result.delta,
    )
    number = pb.SubscribeResult.PUBLICATIONS_FIELD_NUMBER
    return encoded.SerializeToString() + _repeated(number, subscribed.publications)


def _presence(reply: replies.PresenceReply) -> bytes:
    members = {member.client: client_info_of(shown_info(member)) for member in reply.members.members}
    result = pb.PresenceResult(presence={client: info for client, info in members.items() if info is not None})
    return pb.Reply(id=reply.id, presence=result).SerializeToString()


def _presence_stats(reply: replies.PresenceStatsReply) -> bytes:
    result = pb.PresenceStatsResult(num_clients=reply.stats.clients, num_users=reply.stats.users)
    return pb.Reply(id=reply.id, presence_stats=result).SerializeToString()


def _history(reply: replies.HistoryReply) -> bytes:
    result = pb.HistoryResult(epoch=reply.page.epoch, offset=reply.page.top).SerializeToString()
    publications = (protobuf_publication(stored_publication(stored)) for stored in reply.page.publications)
    encoded = result + _repeated(pb.HistoryResult.PUBLICATIONS_FIELD_NUMBER, publications)
    return _reply(reply.id, pb.Reply.HISTORY_FIELD_NUMBER, encoded)


def _sub_refresh(reply: replies.SubRefreshReply) -> bytes:
    result = pb.SubRefreshResult(expires=reply.ttl is not None, ttl=reply.ttl)
    return pb.Reply(id=reply.id, sub_refresh=result).SerializeToString()


def _rpc(reply: replies.RpcReply) -> bytes:
    return pb.Reply(id=reply.id, rpc=pb.RPCResult(data=reply.result.data)).SerializeToString()


def _unsubscribe_push(push: replies.UnsubscribePush) -> bytes:
    unsubscribe = pb.Unsubscribe(code=push.reason.code, reason=push.reason.reason)
    return pb.Reply(push=pb.Push(channel=push.channel, unsubscribe=unsubscribe)).SerializeToString()


def _subscribe_push(push: replies.SubscribePush) -> bytes:
    result = push.result
    position = result.subscribed.position if result.positioned else None
    subscribe = pb.Subscribe(
        recoverable=result.recoverable,
        positioned=result.positioned,
        epoch=None if position is None else position.epoch,
        offset=None if position is None else position.offset,
        data=result.data,
    )
    return pb.Reply(push=pb.Push(channel=push.channel, subscribe=subscribe)).SerializeToString()


def _refresh_push(push: replies.RefreshPush) -> bytes:
    refresh = pb.Refresh(expires=True, ttl=push.ttl)
    return pb.Reply(push=pb.Push(refresh=refresh)).SerializeToString()


def _disconnect_push(push: replies.DisconnectPush) -> bytes:
    disconnect = pb.Disconnect(code=push.disconnect.code, reason=push.disconnect.reason)
    return pb.Reply(push=pb.Push(disconnect=disconnect)).SerializeToString()


def _ping(_ping: replies.Ping) -> bytes:
    return b""


def _reply(number: int, method: int, result: bytes) -> bytes:
    return pb.Reply(id=number).SerializeToString() + field(method, result)


def _repeated(number: int, contents: Iterable[bytes]) -> bytes:
    return b"".join([field(number, content) for content in contents])


_ENCODERS: Final = cast(
    dict[type[Reply], Callable[[Reply], bytes]],
    {
        replies.ErrorReply: _error,
        replies.EmptyReply: _empty,
        replies.ConnectReply: _connect,
        replies.RefreshReply: _refresh,
        replies.SubscribeReply: _subscribe,
        replies.PresenceReply: _presence,
        replies.PresenceStatsReply: _presence_stats,
        replies.HistoryReply: _history,
        replies.RpcReply: _rpc,
        replies.SubRefreshReply: _sub_refresh,
        replies.UnsubscribePush: _unsubscribe_push,
        replies.SubscribePush: _subscribe_push,
        replies.RefreshPush: _refresh_push,
        replies.DisconnectPush: _disconnect_push,
        replies.Ping: _ping,
    },
)

PROTOBUF: Final = ProtobufEncoding()
