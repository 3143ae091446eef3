"""The client protocol in JSON: frames into commands, replies into bytes.

A frame holds one or more JSON objects, one a line. What is empty or zero is left out of a reply,
except where the SDKs rely on it. Payloads travel as the very bytes they came as.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any, Final, cast

import msgspec
import orjson
from msgspec import structs

from warren_gateway.domain import commands, replies
from warren_gateway.domain.client_info import one_line, shown_info
from warren_gateway.domain.encoding import InappropriateError, UndecodableError, UnencodableError
from warren_gateway.domain.json_deltas import JsonDeltaPushHead, delta_publication, whole_publication
from warren_gateway.domain.json_pushes import JsonPushHead, json_publication
from warren_gateway.domain.odd_payloads import StoodIn, shallow, with_stand_ins
from warren_gateway.domain.publications import Publication, stored_publication
from warren_gateway.domain.replies import Reply, SubscribeResult

PONG: Final = b"{}"
"""What a client answers to a ping; pings look the same."""


class _Publish(msgspec.Struct, gc=False):
    channel: str | None = None
    data: msgspec.Raw = msgspec.Raw()


class _Rpc(msgspec.Struct, gc=False):
    method: str | None = None
    data: msgspec.Raw = msgspec.Raw()


class _Send(msgspec.Struct, gc=False):
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
    send: _Send | None = None
    rpc: _Rpc | None = None
    refresh: commands.RefreshCommand | None = None
    sub_refresh: commands.SubRefreshCommand | None = None


_REQUESTS: Final = tuple(name for name in _Command.__struct_fields__ if name != "id")
_decode: Final = msgspec.json.Decoder(_Command).decode


class JsonEncoding:
    """The client protocol in JSON. Implements Encoding."""

    @property
    def whole(self) -> JsonEncoding:
        return _WHOLE

    @property
    def delta(self) -> JsonEncoding:
        return _DELTA

    def decode(self, frame: bytes) -> Iterator[commands.Command]:
        """Yield the commands of the frame's lines, see the port."""
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
        except UnencodableError:
            raise
        except Exception as error:
            raise UnencodableError(f"{type(error).__name__}: {error}") from error

    def publication(self, publication: Publication) -> bytes:
        return json_publication(publication)

    def head(self, channel: str) -> JsonPushHead:
        return JsonPushHead(channel)

    def _command(self, line: bytes) -> commands.Command:
        envelope = _envelope(line)
        number = envelope.id or 0
        for name in _REQUESTS:
            request = getattr(envelope, name)
            if request is not None:
                if isinstance(request, _Publish):
                    request = commands.PublishCommand(request.channel, bytes(request.data))
                elif isinstance(request, _Rpc):
                    request = commands.RpcCommand(request.method, bytes(request.data))
                elif isinstance(request, _Send):
                    request = commands.SendCommand(bytes(request.data))
                return commands.Command(number, request)
        return commands.Command(number, None)


class _JsonWhole(JsonEncoding):
    def publication(self, publication: Publication) -> bytes:
        return whole_publication(publication)

    def head(self, channel: str) -> JsonPushHead:
        return JsonDeltaPushHead(channel, self, whole=True)


class _JsonDelta(JsonEncoding):
    def publication(self, publication: Publication) -> bytes:
        return delta_publication(publication)

    def head(self, channel: str) -> JsonPushHead:
        return JsonDeltaPushHead(channel, self, whole=False)


_WHOLE: Final = _JsonWhole()
_DELTA: Final = _JsonDelta()


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
    request = envelope.publish or envelope.send or envelope.rpc
    if request is not None:
        data = stood_in.restored(bytes(request.data))
        if data is None:
            raise UndecodableError("line has lone surrogates within the payload and elsewhere")
        request.data = msgspec.Raw(data)
    return _with_data(envelope, lambda data: stood_in.restored(data) or b"")


def _too_deep(line: bytes) -> _Command:
    envelope = _decode_or_refuse(shallow(line))
    request = envelope.publish or envelope.send or envelope.rpc
    if request is not None:
        request.data = msgspec.Raw(commands.TOO_DEEP)
    return _with_data(envelope, lambda _: b"")


def _with_data(envelope: _Command, mend: Callable[[bytes], bytes]) -> _Command:
    """Mend what backends are told with a connect or a subscribe; what cannot be mended is left out."""
    if envelope.connect is not None:
        envelope.connect = structs.replace(envelope.connect, data=msgspec.Raw(mend(bytes(envelope.connect.data))))
    if envelope.subscribe is not None:
        envelope.subscribe = structs.replace(envelope.subscribe, data=msgspec.Raw(mend(bytes(envelope.subscribe.data))))
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


def _set(**flags: bool) -> dict[str, Any]:
    return {name: True for name, is_set in flags.items() if is_set}


def _subscription(result: SubscribeResult) -> dict[str, Any]:
    subscribed = result.subscribed
    encoded = _set(recoverable=result.recoverable, positioned=result.positioned)
    if subscribed.position is not None and result.positioned:
        if subscribed.position.epoch:
            encoded["epoch"] = subscribed.position.epoch
        if subscribed.position.offset:
            encoded["offset"] = subscribed.position.offset
    if subscribed.publications:
        encoded["publications"] = _embedded(subscribed.publications)
    encoded |= _set(was_recovering=subscribed.was_recovering, recovered=subscribed.recovered, delta=result.delta)
    if result.data is not None:
        encoded["data"] = orjson.Fragment(result.data)
    return encoded | _expiry(result.ttl)


def _presence(reply: replies.PresenceReply) -> bytes:
    members = {member.client: orjson.Fragment(shown_info(member)) for member in reply.members.members}
    return _reply(reply.id, "presence", {"presence": members})


def _presence_stats(reply: replies.PresenceStatsReply) -> bytes:
    return _reply(reply.id, "presence_stats", {"num_clients": reply.stats.clients, "num_users": reply.stats.users})


def _history(reply: replies.HistoryReply) -> bytes:
    publications = _embedded(json_publication(stored_publication(stored)) for stored in reply.page.publications)
    return _reply(
        reply.id, "history", {"publications": publications, "epoch": reply.page.epoch, "offset": reply.page.top}
    )


def _embedded(publications: Iterable[bytes]) -> list[orjson.Fragment]:
    embedded = []
    for publication in publications:
        if not publication:
            raise InappropriateError("a publication is no JSON")
        embedded.append(orjson.Fragment(publication))
    return embedded


def _sub_refresh(reply: replies.SubRefreshReply) -> bytes:
    return _reply(reply.id, "sub_refresh", _expiry(reply.ttl))


def _rpc(reply: replies.RpcReply) -> bytes:
    return b'{"id":%d,"rpc":{"data":%b}}' % (reply.id, one_line(reply.result.data))


def _unsubscribe_push(push: replies.UnsubscribePush) -> bytes:
    unsubscribe = {"code": push.reason.code, "reason": push.reason.reason}
    return orjson.dumps({"push": {"channel": push.channel, "unsubscribe": unsubscribe}})


def _subscribe_push(push: replies.SubscribePush) -> bytes:
    return orjson.dumps({"push": {"channel": push.channel, "subscribe": _subscription(push.result)}})


def _refresh_push(push: replies.RefreshPush) -> bytes:
    return orjson.dumps({"push": {"refresh": _expiry(push.ttl)}})


def _disconnect_push(push: replies.DisconnectPush) -> bytes:
    disconnect = {"code": push.disconnect.code, "reason": push.disconnect.reason}
    return orjson.dumps({"push": {"disconnect": disconnect}})


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
        replies.RpcReply: _rpc,
        replies.SubRefreshReply: _sub_refresh,
        replies.UnsubscribePush: _unsubscribe_push,
        replies.SubscribePush: _subscribe_push,
        replies.RefreshPush: _refresh_push,
        replies.DisconnectPush: _disconnect_push,
        replies.Ping: _ping,
    },
)

JSON: Final = JsonEncoding()
