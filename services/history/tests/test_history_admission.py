"""Which deliveries become publications."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warren_history.domain.admission import Admission, Reason, Rejected
from warren_history.domain.publications import Content, NewPublication, Retention
from warren_shared.contracts.channels import routing_key_of
from warren_shared.contracts.namespaces import Namespaces, parse_namespaces
from warren_shared.contracts.publication import MAX_PAYLOAD_BYTES, MAX_TAGS

NAMESPACES = parse_namespaces(
    """
    without_namespace: {history_size: 1, history_ttl: 1s}
    namespaces:
      - {name: chat, history_size: 10, history_ttl: 1m, history_meta_ttl: 1h}
      - {name: objects, history_size: 10, history_ttl: 1m, publication_data_format: json_object}
      - {name: files, history_size: 10, history_ttl: 1m, publication_data_format: binary}
      - {name: live}
    """
)


@pytest.fixture
def admission() -> Admission:
    return Admission(NAMESPACES)


def test_a_json_publication_is_admitted_as_it_is(admission: Admission) -> None:
    body = b' { "text" : "hi" }\n'
    admitted = admission.admit("chat.room.1", body, {}, message_id="m1", content_type="application/json")
    assert admitted == NewPublication(
        "chat:room.1", Content(body, False, "application/json"), Retention(10, 60_000, 3_600_000), "m1"
    )


def test_headers_of_the_contract_are_taken_and_others_left(admission: Admission) -> None:
    headers = {"tag-kind": "x", "info": '{"user":"alice","client":"c"}', "offset": 7, "epoch": "fake", "x-own": [1]}
    admitted = admission.admit("chat.room", b"1", headers)
    assert isinstance(admitted, NewPublication)
    assert admitted.content == Content(b"1", False, None, '{"user":"alice","client":"c"}', {"kind": "x"})


def test_a_binary_namespace_takes_any_bytes(admission: Admission) -> None:
    admitted = admission.admit("files.room", b"\x00\xff", {})
    assert isinstance(admitted, NewPublication)
    assert admitted.content.binary


def test_channels_without_namespace_are_admitted_where_they_are_durable(admission: Admission) -> None:
    admitted = admission.admit("_.room", b"1", {})
    assert isinstance(admitted, NewPublication)
    assert admitted.channel == "room"


def test_an_empty_message_id_is_none(admission: Admission) -> None:
    admitted = admission.admit("chat.room", b"1", {}, message_id="")
    assert isinstance(admitted, NewPublication)
    assert admitted.message_id is None


@pytest.mark.parametrize(
    ("routing_key", "body", "headers", "reason"),
    [
        ("chat", b"1", {}, Reason.BAD_ROUTING_KEY),
        ("", b"1", {}, Reason.BAD_ROUTING_KEY),
        ("x.room", b"1", {}, Reason.BAD_ROUTING_KEY),
        ("_.chat:room", b"1", {}, Reason.BAD_ROUTING_KEY),
        ("_.", b"1", {}, Reason.BAD_CHANNEL),
        ("chat.*", b"1", {}, Reason.BAD_CHANNEL),
        ("chat.a.#", b"1", {}, Reason.BAD_CHANNEL),
        ("chat.grün", b"1", {}, Reason.BAD_CHANNEL),
        ("gone.room", b"1", {}, Reason.UNKNOWN_NAMESPACE),
        ("live.room", b"1", {}, Reason.NOT_DURABLE),
        ("chat.room", b'"' + b"x" * MAX_PAYLOAD_BYTES + b'"', {}, Reason.TOO_LARGE),
        ("files.room", b"x" * (MAX_PAYLOAD_BYTES + 1), {}, Reason.TOO_LARGE),
        ("chat.room", b"", {}, Reason.BAD_PAYLOAD),
        ("chat.room", b"hello", {}, Reason.BAD_PAYLOAD),
        ("chat.room", b'"\xff"', {}, Reason.BAD_PAYLOAD),
        ("objects.room", b"[1]", {}, Reason.BAD_PAYLOAD),
        ("chat.room", b"1", {"tag-n": 1}, Reason.BAD_TAGS),
        ("chat.room", b"1", {f"tag-{number}": "" for number in range(MAX_TAGS + 1)}, Reason.BAD_TAGS),
        ("chat.room", b"1", {"info": "[]"}, Reason.BAD_INFO),
        ("chat.room", b"1", {"info": '{"user":"a"},{"evil":1}'}, Reason.BAD_INFO),
        ("chat.room", b"1", {"info": 7}, Reason.BAD_INFO),
    ],
)
def test_what_cannot_be_stored_is_rejected_with_its_reason(
    admission: Admission, routing_key: str, body: bytes, headers: Mapping[str, object], reason: Reason
) -> None:
    outcome = admission.admit(routing_key, body, headers)
    assert isinstance(outcome, Rejected)
    assert outcome.reason is reason
    assert outcome.detail


@pytest.mark.parametrize("message_id", ["x" * 256, "ü" * 128])
def test_a_message_id_is_measured_in_bytes(admission: Admission, message_id: str) -> None:
    outcome = admission.admit("chat.room", b"1", {}, message_id=message_id)
    assert isinstance(outcome, Rejected)
    assert outcome.reason is Reason.BAD_MESSAGE_ID
    assert isinstance(admission.admit("chat.room", b"1", {}, message_id=message_id[1:]), NewPublication)


def test_the_detail_of_a_rejected_payload_does_not_quote_it(admission: Admission) -> None:
    outcome = admission.admit("chat.room", b'{"secret": tomato}', {})
    assert isinstance(outcome, Rejected)
    assert "tomato" not in outcome.detail
    assert "secret" not in outcome.detail


def test_nothing_is_admitted_without_namespaces() -> None:
    outcome = Admission(Namespaces({})).admit("chat.room", b"1", {})
    assert isinstance(outcome, Rejected)
    assert outcome.reason is Reason.UNKNOWN_NAMESPACE


@given(
    routing_key=st.text(max_size=20) | st.from_regex(r"(chat|files|_)\.[a-z:.#*]{0,5}", fullmatch=True),
    body=st.binary(max_size=10) | st.sampled_from([b"1", b"{}"]),
    headers=st.dictionaries(st.sampled_from(["tag-a", "info", "other"]), st.text() | st.integers() | st.none()),
    message_id=st.none() | st.text(max_size=300),
)
def test_every_delivery_is_admitted_or_rejected_and_admitted_ones_keep_their_key(
    routing_key: str, body: bytes, headers: Mapping[str, object], message_id: str | None
) -> None:
    outcome = Admission(NAMESPACES).admit(routing_key, body, headers, message_id=message_id)
    if isinstance(outcome, NewPublication):
        assert routing_key_of(outcome.channel) == routing_key
        assert outcome.content.data == body
    else:
        assert outcome.reason in Reason
