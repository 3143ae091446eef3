"""Records one message of every type as the present code writes it: ``record.py VERSION``."""

from __future__ import annotations

import sys
from pathlib import Path

from warren_shared.contracts import auth, history, presence, rpc
from warren_shared.contracts.envelope import Message

MEMBER = presence.Member(client="c1", user="alice", conn_info='{"name":"Alice"}', chan_info="1")
FROM = {"gateway": "gw-1", "incarnation": "a1b2", "started": 1700000000.5}
SAMPLES: tuple[Message, ...] = (
    auth.ConnectRequest(client="c1", token="t", name="js", version="5"),
    auth.RefreshRequest(client="c1", user="alice", token="t"),
    auth.Admitted(
        user="alice",
        info='{"name":"Alice"}',
        expire_at=1700000000.0,
        channels=("news",),
        grants=(
            auth.Grant(
                scope=auth.GrantScope.NAMESPACE, target="chat", operations=frozenset({auth.Operation.SUBSCRIBE})
            ),
        ),
    ),
    auth.Refused(code=109, reason="token expired", temporary=True, disconnect=True, detail="exp"),
    history.ReadRequest(channel="chat:a", limit=10, since_offset=3, reverse=True),
    history.Page(
        epoch="e1",
        top=4,
        publications=(
            history.StoredPublication(
                offset=4, data='{"a":1}', binary=False, info='{"user":"u","client":"c"}', tags={"k": "v"}, time=17
            ),
        ),
    ),
    presence.Joined(channel="chat:a", member=MEMBER, announce=True, **FROM),
    presence.Left(channel="chat:a", member=MEMBER, announce=True, **FROM),
    presence.Snapshot(channel="chat:a", members=(MEMBER,), announce=True, sync="s1", **FROM),
    presence.Query(channel="chat:a", stats=True),
    presence.Members(members=(MEMBER,)),
    presence.Stats(clients=2, users=1),
    presence.Heartbeat(**FROM),
    presence.Stopped(**FROM),
    presence.Synced(sync="s1", **FROM),
    presence.SnapshotRequest(sync="s1"),
    rpc.Failed(code=100, reason="internal server error", temporary=True),
)


def main() -> None:
    """Write the samples to recorded/VERSION.jsonl."""
    target = Path(__file__).parent / "recorded" / f"{sys.argv[1]}.jsonl"
    target.write_bytes(b"".join(sample.encode() + b"\n" for sample in SAMPLES))


if __name__ == "__main__":
    main()
