"""Deltas, against the decoder of the official Python SDK."""

from __future__ import annotations

import json
import random

import pytest
from centrifuge.fossil import apply_delta  # type: ignore[import-untyped]  # the SDK carries no type marker
from hypothesis import given
from hypothesis import strategies as st

from warren_gateway.domain.fossil import LONGEST_SEARCH, checksum, delta_of

PIECES = st.sampled_from(
    [b"", b"a", b"{}", b"0123456789abcdef", b"the same words again and again, ", bytes(40), b"\xff\x80"]
)
BYTES = st.lists(PIECES | st.binary(max_size=40), max_size=12).map(b"".join)
TEXT = st.lists(
    st.text(max_size=20) | st.sampled_from(["größer ", "世界中の人々へ ", "🐇🐇🐇🐇🐇🐇"]), max_size=12
).map("".join)


@given(BYTES, BYTES)
def test_the_official_decoder_makes_the_target_of_any_delta(source: bytes, target: bytes) -> None:
    assert bytes(apply_delta(source, delta_of(source, target))) == target


@given(TEXT, TEXT)
def test_a_delta_of_text_is_text(source: str, target: str) -> None:
    delta = delta_of(source.encode(), target.encode(), text=True)
    assert bytes(apply_delta(source.encode(), delta.decode().encode())).decode() == target


@given(BYTES, BYTES, BYTES, BYTES)
def test_what_is_kept_is_copied(before: bytes, kept: bytes, after: bytes, inserted: bytes) -> None:
    kept += bytes(range(100, 164))
    source, target = before + kept + after, inserted + kept
    assert len(delta_of(source, target)) <= len(inserted) + 16 + 32


def test_nothing_but_the_size_and_a_copy_is_said_of_what_did_not_change() -> None:
    document = json.dumps(list(range(2000))).encode()
    assert len(delta_of(document, document)) < 24


def test_of_a_large_document_that_changed_at_both_ends_most_is_copied() -> None:
    rows = [f"row {number} of a large document".encode() for number in range(8000)]
    before, after = b",".join(rows), b",".join([b"the first", *rows[1:-1], b"the last"])
    assert len(after) > 2 * LONGEST_SEARCH
    delta = delta_of(before, after)
    assert bytes(apply_delta(before, delta)) == after
    assert len(delta) < 200


def order_book(chance: random.Random, levels: int = 50) -> dict[str, object]:
    side = [[round(100 + n / 7, 2), chance.randrange(1, 500)] for n in range(levels)]
    return {"symbol": "ACME", "seq": 1, "bids": side, "asks": [[price + 20, size] for price, size in side]}


@pytest.mark.parametrize(("changes", "most"), [(1, 0.12), (5, 0.25)])
def test_a_changed_order_book_is_a_small_delta(changes: int, most: float) -> None:
    chance = random.Random(7)  # noqa: S311 - the same book each time
    book = order_book(chance)
    before = json.dumps(book).encode()
    for _ in range(changes):
        side = book["bids"]
        assert isinstance(side, list)
        side[chance.randrange(50)][1] = chance.randrange(1, 500)
    book["seq"] = 2
    after = json.dumps(book).encode()
    assert len(delta_of(before, after, text=True)) < most * len(after)


def test_rows_that_moved_are_copied_from_where_they_were() -> None:
    chance = random.Random(8)  # noqa: S311 - likewise
    rows = [{"id": chance.getrandbits(40), "name": f"device {n}", "load": chance.random()} for n in range(60)]
    before = json.dumps(rows).encode()
    chance.shuffle(rows)
    after = json.dumps(rows).encode()
    assert len(delta_of(before, after, text=True)) < 0.6 * len(after)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (bytes(500_000), bytes(400_000) + b"x" + bytes(99_999)),
        (b"ab" * 200_000, b"ba" * 200_000),
        (bytes(range(256)) * 2000, bytes(reversed(range(256))) * 2000),
        (b"0123456789abcdef" * 4096 + b"x", b"y" + b"0123456789abcdeg" * 4096),
    ],
    ids=["zeros", "pairs", "reversed", "almost"],
)
@pytest.mark.timeout(20)
def test_hostile_payloads_take_no_time_that_grows_with_how_alike_their_parts_are(source: bytes, target: bytes) -> None:
    assert bytes(apply_delta(source, delta_of(source, target))) == target


@pytest.mark.parametrize(("data", "total"), [(b"", 0), (b"\0\0\0\1", 1), (b"\1", 1 << 24), (b"\xff" * 8, 0xFFFF_FFFE)])
def test_the_checksum_adds_words_of_the_most_significant_byte_first(data: bytes, total: int) -> None:
    assert checksum(data) == total
