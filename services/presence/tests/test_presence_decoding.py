"""What gets into a partition, and what does not."""

from __future__ import annotations

import orjson
import pytest

from warren_presence.domain.questions import Question
from warren_presence.handlers.decoding import decode
from warren_shared.contracts.envelope import ContractError, Message, UnknownMessageError
from warren_shared.contracts.presence import Heartbeat, Joined, Left, Member, Probe, Query, Snapshot, Stopped, Synced
from warren_shared.messaging.port import Delivery

SENDER = {"gateway": "g1", "incarnation": "run1", "started": 5.0}


def delivery(message: Message | bytes, key: str = "chat.room", reply_to: str | None = "asker") -> Delivery:
    body = message if isinstance(message, bytes) else message.encode()
    return Delivery("warren.presence", key, body, correlation_id="7", reply_to=reply_to)


@pytest.mark.parametrize(
    "message",
    [
        Joined.model_validate({**SENDER, "channel": "chat:room", "member": Member(client="c1"), "announce": True}),
        Left.model_validate({**SENDER, "channel": "chat:room", "member": Member(client="c1")}),
        Snapshot.model_validate({**SENDER, "channel": "chat:room", "members": (Member(client="c1"),), "sync": "s"}),
        Heartbeat.model_validate(SENDER),
        Stopped.model_validate(SENDER),
        Synced.model_validate({**SENDER, "sync": "s"}),
        Probe(tenure="p.1", number=3, sent_at=1.5),
    ],
)
def test_every_message_a_partition_understands_is_read(message: Message) -> None:
    assert decode(delivery(message)) == message


def test_a_query_is_read_with_where_its_answer_goes() -> None:
    assert decode(delivery(Query(channel="chat:room", stats=True))) == Question("chat:room", True, "asker", "7")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param(b"", "no JSON", id="empty"),
        pytest.param(b"\xff", "no JSON", id="no text"),
        pytest.param(b"[]", "no JSON object", id="no object"),
        pytest.param(b'{"type":"presence.query","v":1}', "channel", id="field missing"),
        pytest.param(b'{"type":"presence.query","channel":5}', "channel", id="field of another type"),
    ],
)
def test_what_cannot_be_read_says_why(body: bytes, reason: str) -> None:
    with pytest.raises(ContractError, match=reason):
        decode(delivery(body))


@pytest.mark.parametrize(
    "body", [b'{"type":"presence.unheard_of","v":1}', b'{"type":"presence.query","v":2,"channel":"chat:room"}']
)
def test_unknown_types_and_newer_versions_are_refused(body: bytes) -> None:
    with pytest.raises(UnknownMessageError):
        decode(delivery(body))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        pytest.param({"gateway": ""}, "gateway id", id="no gateway"),
        pytest.param({"gateway": "a.b"}, "gateway id", id="two words"),
        pytest.param({"gateway": "#"}, "gateway id", id="wildcard"),
        pytest.param({"gateway": "x" * 129}, "gateway id", id="long id"),
        pytest.param({"incarnation": ""}, "incarnation", id="no incarnation"),
        pytest.param({"channel": ""}, "empty", id="no channel"),
        pytest.param({"channel": "chat:*"}, "wildcard", id="wildcard channel"),
        pytest.param({"channel": "chat:rööm"}, "ASCII", id="not ASCII"),
        pytest.param({"channel": "chat:other"}, "routing key", id="another channel's key"),
        pytest.param({"member": {"client": ""}}, "client id", id="no client"),
        pytest.param({"member": {"client": "c1", "conn_info": "{"}}, "info is no JSON", id="conn_info"),
        pytest.param({"member": {"client": "c1", "chan_info": ""}}, "info is no JSON", id="chan_info"),
    ],
)
def test_what_would_break_something_further_on_is_refused(fields: dict[str, object], reason: str) -> None:
    document = {"type": "presence.joined", **SENDER, "channel": "chat:room", "member": {"client": "c1"}, **fields}

    with pytest.raises(ContractError, match=reason):
        decode(delivery(orjson.dumps(document)))


def test_a_query_that_says_not_where_to_reply_is_refused() -> None:
    with pytest.raises(ContractError, match="where to reply"):
        decode(delivery(Query(channel="chat:room"), reply_to=None))


def test_infos_are_brought_to_one_line_because_client_messages_are_separated_by_line_ends() -> None:
    member = Member(client="c1", conn_info='{\r\n "a": "b c"\n}', chan_info="1")
    message = Snapshot.model_validate({**SENDER, "channel": "chat:room", "members": (member,), "sync": "s"})

    read = decode(delivery(message))

    assert isinstance(read, Snapshot)
    (read_member,) = read.members
    assert read_member.conn_info == '{   "a": "b c" }'
    assert read_member.chan_info == "1"
