"""Records what the present code writes, and what it means by it: ``record.py VERSION``.

A sample of every message with no field at its default, and one with every field that has a default at
it; and of what reaches gateways on ``warren.deliver`` and ``warren.publish``, with its headers.
"""

from __future__ import annotations

import sys
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import orjson

from warren_history.domain.publications import Appended, Content
from warren_history.handlers.egress import Leaving, numbered
from warren_history.handlers.packing import Packing
from warren_presence.domain.occupants import client_info
from warren_shared.contracts import auth, history, presence, rpc
from warren_shared.contracts.envelope import Message
from warren_shared.contracts.namespaces import parse_namespaces
from warren_shared.contracts.publication import DeliverType, Header
from warren_shared.messaging.port import Delivery, Outgoing
from warren_shared.topology.catalogue import ExchangeName

Line = Mapping[str, object]

MEMBER: Final = presence.Member(client="c1", user="alice", conn_info='{"name":"Alice"}', chan_info="1")
PLAIN_MEMBER: Final = presence.Member(client="c2")
FROM: Final = {"gateway": "gw-1", "incarnation": "a1b2", "started": 1700000000.5}
PLAIN_FROM: Final = {"gateway": "gw-1", "incarnation": "a1b2"}
IF_SUBSCRIBED: Final = frozenset(each for each in auth.Operation if each.value.endswith("_if_subscribed"))

FULL: Final[tuple[Message, ...]] = (
    auth.ConnectRequest(client="c1", token="t", name="js", version="5"),
    auth.RefreshRequest(client="c1", user="alice", token="t"),
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
    presence.Heartbeat(**FROM),
    presence.Stopped(**FROM),
    presence.Synced(sync="s1", **FROM),
    presence.Probe(tenure="p1.2", number=3, sent_at=17.5),
    presence.SnapshotRequest(sync="s1"),
    rpc.Failed(code=100, reason="internal server error", temporary=True),
)
PLAIN: Final[tuple[Message, ...]] = (
    auth.ConnectRequest(client="c1"),
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
    rpc.Failed(code=107, reason="bad request"),
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


def messages() -> Iterable[Line]:
    """Return the samples as they are written, and all they say, defaults included."""
    for sample in (*FULL, *PLAIN):
        yield {"wire": orjson.loads(sample.encode()), "means": sample.model_dump(mode="json")}


def main() -> None:
    """Write the samples into the folder recorded/VERSION."""
    folder = Path(__file__).parent / "recorded" / sys.argv[1]
    folder.mkdir(exist_ok=True)
    for name, lines in (("messages", messages()), ("deliveries", deliveries())):
        (folder / f"{name}.jsonl").write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))


if __name__ == "__main__":
    main()
