"""Headers and properties are decoded when somebody looks, as far as somebody looks, and never raise."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warren_shared.contracts.publication import UNREADABLE_HEADERS
from warren_shared.messaging.lane.delivery import ReadDelivery
from warren_shared.messaging.lane.tables import LazyHeaders, decode_table, encode_table

HEADERS = st.dictionaries(st.text(min_size=1, max_size=30), st.text(max_size=40) | st.integers(-(2**63), 2**63 - 1))


def test_headers_are_decoded_as_far_as_somebody_looks() -> None:
    lazy = LazyHeaders(encode_table({"offset": 1, "epoch": "e"})[4:] + b"\x01aT" + (2**63).to_bytes(8, "big"))

    assert lazy
    assert (lazy["offset"], lazy.get("epoch"), lazy["offset"]) == (1, "e", 1)  # what comes later cannot be read
    assert lazy.get("absent") is None
    assert dict(lazy) == {UNREADABLE_HEADERS: True}


@given(HEADERS, st.lists(st.text(max_size=3), max_size=4))
def test_headers_say_the_same_in_whatever_order_they_are_asked_for(headers: dict[str, Any], others: list[str]) -> None:
    for name in [*headers, *others]:
        lazy = LazyHeaders(encode_table(headers)[4:])
        assert lazy.get(name, "absent") == headers.get(name, "absent")
        assert (name in lazy) == (name in headers)
        assert dict(lazy) == headers


def test_of_two_headers_of_one_name_the_first_counts_whenever_it_is_asked_for() -> None:
    fields = encode_table({"a": 1})[4:] + encode_table({"a": 2, "b": 3})[4:]
    early, late = LazyHeaders(fields), LazyHeaders(fields)

    assert (early["a"], early["b"], early["a"]) == (1, 3, 1)
    assert (late["b"], late["a"], dict(late)) == (3, 1, {"a": 1, "b": 3})


@pytest.mark.parametrize(
    "content",
    [
        b"\x00\x01",  # more flags than there are
        b"\x80\x00\x05text",  # a text that is longer than all
        b"\x20\x00\x00\x00\x01",  # no length of a table
        b"\x20\x00\x00\x00\x00\x09\x01",  # a table that is longer than all
        b"\x80\x00\x01textand more",
    ],
)
def test_properties_that_cannot_be_read_are_one_header_that_says_so(content: bytes) -> None:
    delivery = ReadDelivery(("x", "k"), b"body", content, 1, redelivered=False)

    assert dict(delivery.headers) == {UNREADABLE_HEADERS: True}
    assert (delivery.message_id, delivery.type, delivery.reply_to) == (None, None, None)
    assert (delivery.exchange, delivery.routing_key, delivery.body) == ("x", "k", b"body")


@given(st.binary(max_size=80))
def test_no_table_raises(fields: bytes) -> None:
    assert isinstance(decode_table(fields), dict)
