"""JSON codec of the client protocol: frames into commands, replies into bytes.

A frame holds one or more JSON objects, one a line. What is empty or zero is left out of a reply,
except where the SDKs rely on it. Payloads travel as the very bytes they came as.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Any, Final, cast

import msgspec
import orjson

from warren_gateway.domain import commands, replies
from warren_gateway.domain.encoding import client_info, stored_publication
from warren_gateway.domain.odd_payloads import StoodIn, shallow, with_stand_ins
from warren_gateway.domain.replies import Reply, SubscribeResult
from warren_shared.contracts.envelope import ContractError
from warren_shared.contracts.presence import Member

PONG: Final = b"{}"
"""What a client answers to a ping; pings look the same."""


class UndecodableError(ValueError):
    """The frame, or what is left of it, is no command."""


class UnencodableError(ValueError):
    """A reply holds what cannot be written."""


class _Publish(msgspec.Struct, gc=False):
    channel: str | None = None
    data: msgspec.Raw = msgspec.Raw()


class _Command(msgspec.Struct):
    """The envelope: exactly one request is set; of several the first counts."""

    id: Annotated[int, msgspec.Meta(ge=0, le=0xFFFF_FFFF)] | None = None
    connect: commands.ConnectCommand | None = None
    subscribe: commands.SubscribeCommand | None = None
    unsubscribe: commands.UnsubscribeCommand | None = None
    publish: _Publish | None = None
    presence: commands.PresenceCommand | None = None
    presence_stats: commands.PresenceStatsCommand | None = None
    history: commands.HistoryCommand | None = None
    ping: commands.PingCommand | None = None
    send: commands.SendCommand | None = None
    rpc: commands.RpcCommand | None = None
    refresh: commands.RefreshCommand | None = None
    sub_refresh: commands.SubRefreshCommand | None = None


_REQUESTS: Final = tuple(name for name in _Command.__struct_fields__ if name != "id")
_decode: Final = msgspec.json.Decoder(_Command).decode


class JsonCodec:
    """The client protocol in JSON."""

    def decode(self, frame: bytes) -> Iterator[commands.Command]:
        """Yield a frame's commands in order, decoding each only when it is wanted.

        Raises UndecodableError where what follows is no command, which an empty frame never is.
        """
        try:
            frame.decode()
        except UnicodeDecodeError as error:
            raise UndecodableError("frame is no UTF-8") from error
        for line in frame.removesuffix(b"\n").split(b"\n"):
            yield self._command(line)

    def encode(self, reply: Reply) -> bytes:
        """Return a reply as one line, without its end. Raises UnencodableError, and nothing else."""
        try:
            return _ENCODERS[type(reply)](reply)
        except Exception as error:
            raise UnencodableError(f"{type(error).__name__}: {error}") from error

    def _command(self, line: bytes) -> commands.Command:
        envelope = _envelope(line)
        number = envelope.id or 0
        for name in _REQUESTS:
            request = getattr(envelope, name)
            if request is not None:
                if isinstance(request, _Publish):
                    request = commands.PublishCommand(request.channel, bytes(request.data))
                return commands.Command(number, request)
        return commands.Command(number, None)


def _envelope(line: bytes) -> _Command:
    try:
        return _decode(line)
    except RecursionError:
        return _too_deep(line)
    except msgspec.MsgspecError as error:
        stood_in = with_stand_ins(line)
        if stood_in is None:
            raise UndecodableError("line is no command") from error
    return _with_lone_surrogates(stood_in)


def _with_lone_surrogates(stood_in: StoodIn) -> _Command:
    envelope = _decode_or_refuse(stood_in.line)
    if envelope.publish is not None:
        data = stood_in.restored(bytes(envelope.publish.data))
        if data is None:
            raise UndecodableError("line has lone surrogates within the payload and elsewhere")
        envelope.publish.data = msgspec.Raw(data)
    return envelope


def _too_deep(line: bytes) -> _Command:
    envelope = _decode_or_refuse(shallow(line))
    if envelope.publish is not None:
        envelope.publish.data = msgspec.Raw(commands.TOO_DEEP)
    return envelope


def _decode_or_refuse(line: bytes) -> _Command:
    try:
        return _decode(line)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise UndecodableError("line is no command") from error


def _reply(number: int, method: str, result: dict[str, Any]) -> bytes:
    return orjson.dumps({"id": number, method: result})


def _error(reply: replies.ErrorReply) -> bytes:
    error: dict[str, Any] = {"code": reply.error.code, "message": reply.error.message}
    if reply.error.temporary:
        error["temporary"] = True
    return _reply(reply.id, "error", error)


def _empty(reply: replies.EmptyReply) -> bytes:
    return b'{"id":%d,"%b":{}}' % (reply.id, reply.result.encode())


def _connect(reply: replies.ConnectReply) -> bytes:
    result: dict[str, Any] = {"client": reply.client, "version": reply.version}
    result |= _expiry(reply.ttl)
    if reply.subs:
        result["subs"] = {channel: _subscription(sub) for channel, sub in reply.subs.items()}
    if reply.ping:
        result |= {"ping": reply.ping, "pong": reply.pong}
    result |= {"session": reply.session, "node": reply.node}
    return _reply(reply.id, "connect", result)


def _refresh(reply: replies.RefreshReply) -> bytes:
    result = {"client": reply.client, "version": reply.version, **_expiry(reply.ttl)}
    return _reply(reply.id, "refresh", result)


def _subscribe(reply: replies.SubscribeReply) -> bytes:
    return _reply(reply.id, "subscribe", _subscription(reply.result))


def _subscription(result: SubscribeResult) -> dict[str, Any]:
    subscribed = result.subscribed
    encoded: dict[str, Any] = {}
    if result.recoverable:
        encoded["recoverable"] = True
    if result.positioned:
        encoded["positioned"] = True
    if subscribed.position is not None and result.positioned:
        if subscribed.position.epoch:
            encoded["epoch"] = subscribed.position.epoch
        if subscribed.position.offset:
            encoded["offset"] = subscribed.position.offset
    if subscribed.publications:
        encoded["publications"] = [orjson.Fragment(publication) for publication in subscribed.publications]
    if subscribed.was_recovering:
        encoded["was_recovering"] = True
    if subscribed.recovered:
        encoded["recovered"] = True
    return encoded


def _presence(reply: replies.PresenceReply) -> bytes:
    members = {member.client: orjson.Fragment(_shown(member)) for member in reply.members.members}
    return _reply(reply.id, "presence", {"presence": members})


def _shown(member: Member) -> bytes:
    try:
        return client_info(member)
    except ContractError:
        # Another gateway let in an info that is no JSON; the member is there all the same.
        return client_info(Member(client=member.client, user=member.user))


def _presence_stats(reply: replies.PresenceStatsReply) -> bytes:
    return _reply(reply.id, "presence_stats", {"num_clients": reply.stats.clients, "num_users": reply.stats.users})


def _history(reply: replies.HistoryReply) -> bytes:
    encoded = (stored_publication(stored).encoded for stored in reply.page.publications)
    publications = [orjson.Fragment(publication) for publication in encoded if publication]
    return _reply(
        reply.id, "history", {"publications": publications, "epoch": reply.page.epoch, "offset": reply.page.top}
    )


def _unsubscribe_push(push: replies.UnsubscribePush) -> bytes:
    unsubscribe = {"code": push.reason.code, "reason": push.reason.reason}
    return orjson.dumps({"push": {"channel": push.channel, "unsubscribe": unsubscribe}})


def _ping(_ping: replies.Ping) -> bytes:
    return PONG


def _expiry(ttl: int | None) -> dict[str, Any]:
    return {} if ttl is None else {"expires": True, "ttl": ttl}


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
        replies.UnsubscribePush: _unsubscribe_push,
        replies.Ping: _ping,
    },
)
