"""Reading messages between services: hostile bytes, unknown types, newer versions."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warren_shared.contracts.envelope import ContractError, Message, UnknownMessageError, decode_one_of
from warren_shared.contracts.history import ReadRequest
from warren_shared.contracts.presence import Joined, Left, Member


def test_what_is_encoded_is_decoded_again() -> None:
    joined = Joined(gateway="g", incarnation="i", started=1.5, channel="chat:a", member=Member(client="c", user="u"))

    assert decode_one_of(joined.encode(), Left, Joined) == joined


def test_a_version_can_be_understood_before_it_is_written() -> None:
    class Moved(Message):
        type_name = "test.moved"
        contract_version = 2

    class MovedLater(Moved):
        written_version = 2

    assert json.loads(Moved().encode())["v"] == 1
    assert Moved.decode(MovedLater().encode()) == Moved()


def test_fields_of_a_newer_minor_contract_are_ignored() -> None:
    body = json.dumps({"type": "history.read", "v": 1, "channel": "chat:a", "invented_later": 1}).encode()

    assert ReadRequest.decode(body).channel == "chat:a"


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"type": "history.write", "v": 1}, "history.write"),
        ({"type": "history.read", "v": 2, "channel": "a"}, "version 2"),
        ({"type": "history.read", "v": True, "channel": "a"}, "version True"),
        ({"type": None}, "None"),
    ],
)
def test_an_unknown_type_or_newer_version_is_told_apart(document: object, reason: str) -> None:
    with pytest.raises(UnknownMessageError, match=reason):
        ReadRequest.decode(json.dumps(document).encode())


@pytest.mark.parametrize("body", [b"", b"\xff", b"[]", b"1", b'{"type":"history.read","v":1}', b"{"])
def test_unreadable_bytes_are_a_contract_error(body: bytes) -> None:
    with pytest.raises(ContractError):
        ReadRequest.decode(body)


@given(
    st.binary(max_size=200)
    | st.recursive(
        st.none() | st.integers() | st.text(),
        lambda x: st.dictionaries(st.sampled_from(["type", "v", "channel", "limit"]), x),
        max_leaves=5,
    ).map(lambda d: json.dumps(d).encode())
)
def test_no_bytes_raise_anything_but_a_contract_error(body: bytes) -> None:
    try:
        decode_one_of(body, ReadRequest, Joined)
    except ContractError as error:
        assert "\n" not in str(error)
