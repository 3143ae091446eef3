"""Records what the present code writes, and what it means by it: ``record.py VERSION``.

A sample of every message with no field at its default, and one with every field that has a default at
it; and of what reaches gateways on ``warren.deliver`` and ``warren.publish``, with its headers; and of what backends
answer to calls.
"""

from __future__ import annotations

import sys
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import orjson

from warren_gateway.adapters.backends import headers_of, result_of
from warren_gateway.ports import Call, RequestFailedError
from warren_history.domain.publications import Appended, Content
from warren_history.handlers.egress import Leaving, numbered
from warren_history.handlers.packing import Packing
from warren_presence.domain.occupants import client_info
from warren_shared.contracts import auth, clients, control, history, occupancy, presence, rpc
from warren_shared.contracts.envelope import Message
from warren_shared.contracts.namespaces import parse_namespaces
from warren_shared.contracts.publication import DeliverType, Header
from warren_shared.messaging.port import Delivery, HeaderValue, Outgoing
from warren_shared.topology.catalogue import ExchangeName, backend_rpc_key

Line = Mapping[str, object]

MEMBER: Final = presence.Member(client="c1", user="alice", conn_info='{"name":"Alice"}', chan_info="1")
PLAIN_MEMBER: Final = presence.Member(client="c2")
FROM: Final = {"gateway": "gw-1", "incarnation": "a1b2", "started": 1700000000.5}
PLAIN_FROM: Final = {"gateway": "gw-1", "incarnation": "a1b2"}
OF_CLIENT: Final[dict[str, Any]] = {"gateway": "gw-1", "client": "c1"}
IF_SUBSCRIBED: Final = frozenset(each for each in auth.Operation if each.value.endswith("_if_subscribed"))

FULL: Final[tuple[Message, ...]] = (
    auth.ConnectRequest(client="c1", token="t", name="js", version="5"),
    auth.RefreshRequest(client="c1", user="alice", token="t"),
    auth.SubscribeRequest(client="c1", user="alice", channel="chat:$a", token="t"),
    auth.SubRefreshRequest(client="c1", user="alice", channel="chat:$a", token="t"),
    auth.Allowed(
        info='{"role":"host"}',
        data="[1]",
        expire_at=1700000000.5,
        grants=(auth.Grant(scope=auth.GrantScope.CHANNEL, target="chat:$a", operations=IF_SUBSCRIBED),),
    ),
    auth.Admitted(
        user="alice",
        info='{"name":"Alice"}',
        expire_at=1700000000.0,
        channels=("news",),
        grants=(
            auth.Grant(scope=auth.GrantScope.NAMESPACE, target="chat", operations=IF_SUBSCRIBED),
            auth.Grant(
                scope=auth.GrantScope.USER_LIMITED, target="chat", operations=frozenset({auth.Operation.SUBSCRIBE})
            ),
            auth.Grant(scope=auth.GrantScope.CHANNEL, target="chat:$a", operations=frozenset(auth.Operation)),
        ),
    ),
    auth.Refused(code=109, reason="token expired", temporary=True, disconnect=True, detail="exp"),
    history.ReadRequest(channel="chat:a", limit=10, since_offset=3, reverse=True),
    history.Page(
        epoch="e1",
        top=5,
        publications=(
            history.StoredPublication(
                offset=4, data="eyJhIjoxfQ==", binary=True, info='{"user":"u"}', tags={"k": "v"}, time=1700000000017
            ),
            history.StoredPublication(offset=5, data='{"a":1}'),
        ),
    ),
    history.RemoveRequest(channel="chat:a"),
    history.Removed(publications=2),
    presence.Joined(channel="chat:a", member=MEMBER, announce=True, **FROM),
    presence.Left(channel="chat:a", member=MEMBER, announce=True, **FROM),
    presence.Snapshot(channel="chat:a", members=(MEMBER, PLAIN_MEMBER), announce=True, sync="s1", **FROM),
    presence.Query(channel="chat:a", stats=True),
    presence.Members(members=(MEMBER, PLAIN_MEMBER)),
    presence.Stats(clients=2, users=1),
    presence.Heartbeat(version="0.2.0", clients=3, users=2, channels=5, subscriptions=7, **FROM),
    presence.Stopped(**FROM),
    presence.Synced(sync="s1", **FROM),
    presence.Probe(tenure="p1.2", number=3, sent_at=17.5),
    presence.SnapshotRequest(sync="s1"),
    clients.ClientConnected(
        **OF_CLIENT, user="alice", at=1700000000017, info='{"name":"Alice"}', data="e30=", binary=True
    ),
    clients.ClientDisconnected(
        **OF_CLIENT, user="alice", at=1700000000017, code=3000, reason="connection closed", seconds=1.5
    ),
    clients.ClientSubscribed(**OF_CLIENT, user="alice", at=1700000000017, channel="chat:a", data="AP8=", binary=True),
    clients.ClientUnsubscribed(
        **OF_CLIENT, user="alice", at=1700000000017, channel="chat:a", code=2500, reason="insufficient state"
    ),
    occupancy.ChannelOccupied(channel="chat:a", at=1700000000017),
    occupancy.ChannelVacated(channel="chat:a", at=1700000000017),
    rpc.Failed(code=100, reason="internal server error", temporary=True),
    control.DisconnectOrder(user="alice", client="c1", session="s1", whitelist=("c2",), code=4501, reason="blocked"),
    control.UnsubscribeOrder(user="alice", client="c1", session="s1", channel="chat:a"),
    control.RefreshOrder(
        user="alice", client="c1", session="s1", expired=True, expire_at=1700000000.5, info={"name": "Alice"}
    ),
    control.SubscribeOrder(
        user="alice", client="c1", session="s1", channel="chat:a", info={"role": "host"}, data={"topic": "rabbits"}
    ),
)
PLAIN: Final[tuple[Message, ...]] = (
    auth.ConnectRequest(client="c1"),
    auth.SubscribeRequest(client="c1", user="", channel="chat:$a", token="t"),
    auth.SubRefreshRequest(client="c1", user="", channel="chat:$a", token="t"),
    auth.Allowed(),
    auth.Admitted(),
    auth.Refused(code=101, reason="unauthorized"),
    history.ReadRequest(channel="chat:a"),
    history.Page(epoch="e1", top=0),
    presence.Joined(channel="chat:a", member=PLAIN_MEMBER, **PLAIN_FROM),
    presence.Left(channel="chat:a", member=PLAIN_MEMBER, **PLAIN_FROM),
    presence.Snapshot(channel="chat:a", members=(), sync="s1", **PLAIN_FROM),
    presence.Query(channel="chat:a"),
    presence.Members(),
    presence.Stats(),
    presence.Heartbeat(**PLAIN_FROM),
    presence.Stopped(**PLAIN_FROM),
    presence.Synced(sync="s1", **PLAIN_FROM),
    clients.ClientConnected(**OF_CLIENT),
    clients.ClientDisconnected(**OF_CLIENT, code=3001, reason="shutdown"),
    clients.ClientSubscribed(**OF_CLIENT, channel="chat:a"),
    clients.ClientUnsubscribed(**OF_CLIENT, channel="chat:a"),
    occupancy.ChannelOccupied(channel="chat:a"),
    occupancy.ChannelVacated(channel="chat:a"),
    rpc.Failed(code=107, reason="bad request"),
    control.DisconnectOrder(user="alice"),
    control.DisconnectOrder(client="c1"),
    control.UnsubscribeOrder(user="alice", channel="chat:a"),
    control.UnsubscribeOrder(client="c1", channel="chat:a"),
    control.RefreshOrder(user="alice"),
    control.RefreshOrder(client="c1"),
    control.SubscribeOrder(user="alice", channel="chat:a"),
    control.SubscribeOrder(client="c1", channel="chat:a"),
)

INFO: Final = {"user": "u", "client": "c", "conn_info": {"a": 1}}
TRACE: Final = {
    Header.TRACEPARENT.value: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    Header.TRACESTATE.value: "a=1",
}
PUBLISHED: Final = Delivery(
    ExchangeName.PUBLISH.value,
    "chat.a",
    b'{"text":"hi"}',
    headers={Header.INFO.value: orjson.dumps(INFO).decode(), "tag-k": "v", **TRACE},
    message_id="m1",
    content_type="application/json",
)
SHOWN: Final = {"data": {"text": "hi"}, "info": INFO, "tags": {"k": "v"}}


def deliveries() -> Iterable[Line]:
    """Return what gateways receive, and what they show of it to clients."""
    whole = Content(PUBLISHED.body, info=str(PUBLISHED.headers[Header.INFO]), tags={"k": "v"})
    whole_leaves = Leaving(PUBLISHED, Appended("e1", 4, 1700000000017, whole), TRACE)
    stored = numbered(whole_leaves)
    plain = Delivery(ExchangeName.PUBLISH.value, "_.lobby", b"1")
    bare_leaves = Leaving(plain, Appended("e1", 1, 1700000000017, Content(b"1")), {})
    bare = numbered(bare_leaves)
    yield _line(PUBLISHED, channel="chat:a", pub=SHOWN)
    yield _line(plain, channel="lobby", pub={"data": 1})
    position = {"offset": 4, "time": 1700000000017}
    yield _line(stored, channel="chat:a", epoch="e1", pub={**SHOWN, **position})
    yield _line(replace(stored, type=DeliverType.PUBLICATION), channel="chat:a", epoch="e1", pub={**SHOWN, **position})
    shown_bare = {"data": 1, "offset": 1, "time": 1700000000017}
    yield _line(bare, channel="lobby", epoch="e1", pub=shown_bare)
    shown_whole = {"channel": "chat:a", "epoch": "e1", "pub": {**SHOWN, **position}}
    yield _pack_line(whole_leaves, whole_leaves, inside=[shown_whole, shown_whole])
    other = Leaving(replace(plain, routing_key="_.hall"), *bare_leaves[1:])
    shown_channels = [{"channel": name, "epoch": "e1", "pub": shown_bare} for name in ("lobby", "hall")]
    yield _pack_line(bare_leaves, other, inside=shown_channels)
    whole_client = {"user": "alice", "client": "c1", "conn_info": {"name": "Alice"}, "chan_info": 1}
    for member, shown in ((MEMBER, whole_client), (PLAIN_MEMBER, {"user": "", "client": "c2"})):
        for kind in (DeliverType.JOIN, DeliverType.LEAVE):
            push = Outgoing(ExchangeName.DELIVER, "chat.a", client_info(member), headers=TRACE, type=kind)
            yield _line(push, channel="chat:a", **{kind.value: {"info": shown}})


def _pack_line(*leaving: Leaving, inside: Sequence[Line]) -> Line:
    """Return a pack: of a channel, or of those without a namespace, which are bound whole."""
    whole = parse_namespaces("{without_namespace: {bind_namespace: true}, namespaces: []}")
    (parcel,) = Packing(whole, enabled=True).parcels(leaving)
    return _line(parcel.message, inside=inside)


def _line(message: Outgoing | Delivery, **means: object) -> Line:
    is_pack = message.type == DeliverType.PACK
    wire = {
        "exchange": str(message.exchange),
        "routing_key": message.routing_key,
        "type": message.type,
        "content_type": message.content_type,
        "message_id": message.message_id,
        "headers": dict(message.headers),
        # A pack is no text.
        **({"base64": b64encode(message.body).decode()} if is_pack else {"body": message.body.decode()}),
    }
    return {"wire": wire, "means": means}


def calls() -> Iterable[Line]:
    """Return calls of backends, as gateways put them, and answers, with what clients are told."""
    for call in (
        Call("chat:rename", b'{"a":1}', "alice", "c1", '{"name":"Alice"}', TRACE[Header.TRACEPARENT]),
        Call("chat:rename", b"null", "", "c2", None),
    ):
        says = {"user": call.user, "client": call.client, "info": call.info and orjson.loads(call.info)}
        yield {"call": {"key": backend_rpc_key(call.method), "headers": headers_of(call, {})}, "means": says}
    failure: Mapping[str, HeaderValue] = {
        rpc.CallHeader.ERROR_CODE.value: 400,
        rpc.CallHeader.ERROR_MESSAGE.value: "no",
    }
    answers: Sequence[tuple[Mapping[str, HeaderValue], str]] = (
        ({}, '{"b":2}'),
        (failure, ""),
        ({**failure, rpc.CallHeader.ERROR_TEMPORARY.value: True}, "null"),
    )
    for headers, body in answers:
        yield {"answer": {"headers": headers, "body": body}, "means": answered(headers, body.encode())}


def answered(headers: Mapping[str, HeaderValue], body: bytes) -> Line:
    """Return what clients are told of a backend's answer."""
    try:
        return {"data": orjson.loads(result_of(Delivery("", "", body, headers)).data)}
    except RequestFailedError as failed:
        error = failed.error
        return {"error": {"code": error.code, "message": error.message, "temporary": error.temporary}}


def messages() -> Iterable[Line]:
    """Return the samples as they are written, and all they say, defaults included."""
    for sample in (*FULL, *PLAIN):
        yield {"wire": orjson.loads(sample.encode()), "means": sample.model_dump(mode="json")}


def main() -> None:
    """Write the samples into the folder recorded/VERSION."""
    folder = Path(__file__).parent / "recorded" / sys.argv[1]
    folder.mkdir(exist_ok=True)
    for name, lines in (("messages", messages()), ("deliveries", deliveries()), ("calls", calls())):
        (folder / f"{name}.jsonl").write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))


if __name__ == "__main__":
    main()
