"""Whatever a publisher sent can be read, so that one message cannot end a connection."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import decode, encode

from warren_shared.contracts.envelope import ContractError
from warren_shared.contracts.publication import UNREADABLE_HEADERS, tags_of
from warren_shared.messaging.aio_pika_driver.lenient_decoding import install, short_string, table, timestamp
from warren_shared.messaging.dead_letters import dead_letter
from warren_shared.messaging.port import Delivery


def framed(table_body: bytes) -> bytes:
    return struct.pack(">I", len(table_body)) + table_body


def test_a_short_string_that_is_no_utf_8_is_read_and_stays_different_from_others() -> None:
    assert short_string(b"\x04caf\xe9rest") == (5, "caf\\xe9")
    assert short_string(b"\x04caf\xe8") != short_string(b"\x04caf\xe9")


def test_a_timestamp_beyond_every_calendar_is_read() -> None:
    assert timestamp(struct.pack(">Q", 2**63)) == (8, datetime.fromtimestamp(0, tz=UTC))
    assert timestamp(struct.pack(">Q", 1_700_000_000))[1].year == 2023


@pytest.mark.parametrize(
    "body",
    [
        b"\x01aT" + struct.pack(">Q", 1_700_000_000_000_000),
        b"\x01a?x",
        b"\x01\xffS\x00\x00\x00\x00",
        b"\xffa",
        b"\x01aS\x00\x00\xff\xffx",
    ],
)
def test_a_header_table_that_cannot_be_read_is_skipped_whole(body: bytes) -> None:
    consumed, headers = table(framed(body) + b"the next property")

    assert consumed == len(body) + 4
    if UNREADABLE_HEADERS in headers:
        with pytest.raises(ContractError, match="cannot be decoded"):
            tags_of(headers)


@given(st.binary(max_size=60))
def test_no_header_table_raises(body: bytes) -> None:
    consumed, _ = table(framed(body))

    assert consumed == len(body) + 4


def test_the_client_library_reads_with_these_decoders() -> None:
    install()
    assert decode.by_type(b"\x01\xff", "shortstr") == (2, "\\xff")


def test_a_dead_letter_of_anything_that_was_received_can_be_sent() -> None:
    headers: dict[str, Any] = {
        "bytes": b"\xff",
        "table": {"c": [b"\xff"]},
        "time": datetime.now(UTC),
        "long": 2**70,
        "double": 1e300,
        "text": "x" * 100_000,
        "int": 1,
    }
    received = Delivery("warren.publish", "k" * 300, b"{", headers, message_id="\\xe9" * 100)

    letter = dead_letter(received, "a reason", "history")

    assert len(encode.field_table(dict(letter.headers))) < 100_000
    assert len(letter.routing_key) <= 255
    assert letter.message_id is not None
    assert len(letter.message_id) <= 255
