"""The publication contract."""

from __future__ import annotations

import pytest

from warren_shared.contracts.envelope import ContractError
from warren_shared.contracts.publication import MAX_PAYLOAD_BYTES, check_payload, tags_of


@pytest.mark.parametrize("data", [b'{"a":1}', b"1", b'"x"', b"null", b" [1,\n2] "])
def test_json_of_any_kind_fits_a_json_namespace(data: bytes) -> None:
    check_payload(data, "json")


@pytest.mark.parametrize("data", [rb'"\ud83d"', rb'{"\uDE00":"\ud83d\ud83d\ude00"}', b'"' + rb"\udc00" * 1000 + b'"'])
def test_a_string_that_was_cut_within_a_pair_of_surrogates_is_json(data: bytes) -> None:
    """As JSON.stringify writes it; RFC 8259 section 8.2."""
    check_payload(data, "json")


@pytest.mark.parametrize("data", [rb'"\ud83"', rb'"\ud83d', rb"\ud83d", b'"\xed\xa0\xbd"', rb'["\ud83d"'])
def test_half_a_surrogate_elsewhere_or_in_other_ways_is_not(data: bytes) -> None:
    with pytest.raises(ContractError, match="no JSON"):
        check_payload(data, "json")


@pytest.mark.parametrize("nest", [(b"[", b"]"), (b'{"]":', b"}")])
def test_payloads_are_nested_within_what_every_sdk_can_parse(nest: tuple[bytes, bytes]) -> None:
    begin, end = nest
    check_payload(begin * 512 + b'"[[["' + end * 512, "json")
    check_payload(b"[" + (b"[[" + b'"\\"[[",' * 100 + b"0]],") * 600 + b"0]", "json")
    for levels in (513, 900, 5000):
        with pytest.raises(ContractError, match=r"nested deeper than 512|no JSON"):
            check_payload(begin * levels + b"0" + end * levels, "json")


@pytest.mark.parametrize("data", [b"1e999", b"-1e999", b"1" * 400])
def test_numbers_beyond_a_double_are_refused(data: bytes) -> None:
    with pytest.raises(ContractError, match="no JSON"):
        check_payload(data, "json")


@pytest.mark.parametrize("data", [b"", b"{", b"NaN", b"'x'", b"\xff", b'{"a":1}}'])
def test_what_is_no_json_does_not(data: bytes) -> None:
    with pytest.raises(ContractError, match="no JSON"):
        check_payload(data, "json")


def test_an_object_namespace_takes_objects_only() -> None:
    check_payload(b"{}", "json_object")
    with pytest.raises(ContractError, match="no JSON object"):
        check_payload(b"[]", "json_object")


def test_a_binary_namespace_takes_any_bytes_up_to_the_limit() -> None:
    check_payload(b"\xff\x00", "binary")
    with pytest.raises(ContractError, match="bytes is over"):
        check_payload(b"x" * (MAX_PAYLOAD_BYTES + 1), "binary")


def test_tags_are_string_headers_with_the_prefix() -> None:
    assert tags_of({"tag-a": "1", "other": 2, "tag-": "x"}) == {"a": "1", "": "x"}
    with pytest.raises(ContractError, match="no string"):
        tags_of({"tag-a": 1})
    with pytest.raises(ContractError, match="more than 32"):
        tags_of({f"tag-{i}": "" for i in range(33)})
    with pytest.raises(ContractError, match="of more than 16384 bytes"):
        tags_of({"tag-a": "x" * 16_384})
