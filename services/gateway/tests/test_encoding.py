"""How publications, joins and leaves look to clients."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from warren_gateway.domain.client_info import client_info
from warren_gateway.domain.encoding import NOTHING
from warren_gateway.domain.json_pushes import JsonPushHead, json_publication
from warren_gateway.domain.publications import durable_publication, live_publication, stored_publication
from warren_shared.contracts.envelope import ContractError
from warren_shared.contracts.history import StoredPublication
from warren_shared.contracts.presence import Member

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def test_a_payload_is_embedded_as_it_came() -> None:
    payload = b'{ "b" : 1e2, "a":[ 1 ,2 ], "c": "\\u00e9" }'
    push = JsonPushHead("news").publication(live_publication(payload, {}, "json"))
    assert push == b'{"push":{"channel":"news","pub":{"data":' + payload + b"}}}"


def test_line_feeds_are_taken_out_of_a_payload_because_they_separate_messages() -> None:
    assert json_publication(live_publication(b'{\n "a": "x\\ny"\n}\n', {}, "json")) == b'{"data":{ "a": "x\\ny"}}'


@given(JSON, st.booleans())
def test_every_json_payload_survives_on_one_line(document: Any, indented: bool) -> None:
    payload = orjson.dumps(document, option=orjson.OPT_INDENT_2 if indented else None)
    push = JsonPushHead("a:b").publication(live_publication(payload, {}, "json"))
    assert b"\n" not in push
    assert orjson.loads(push) == {"push": {"channel": "a:b", "pub": {"data": document}}}


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1))
def test_every_channel_name_survives(channel: str) -> None:
    push = JsonPushHead(channel).publication(live_publication(b"1", {}, "json"))
    assert orjson.loads(push)["push"]["channel"] == channel


def test_info_and_tags_are_shown_and_what_a_live_publication_claims_of_its_position_is_not() -> None:
    headers = {"info": '{"user":"u",\n"client":"c"}', "tag-a": "1", "offset": 7, "epoch": "x", "time": 3, "other": 1}
    assert orjson.loads(json_publication(live_publication(b"1", headers, "json"))) == {
        "data": 1,
        "info": {"user": "u", "client": "c"},
        "tags": {"a": "1"},
    }


@pytest.mark.parametrize(
    ("body", "headers", "data_format"),
    [
        (b"{", {}, "json"),
        (b"", {}, "json"),
        (b"[1]", {}, "json_object"),
        (b"\xff", {}, "json"),
        (b"NaN", {}, "json"),
        (b"1", {"info": "no json"}, "json"),
        (b"1", {"info": "[]"}, "json"),
        (b"1", {"info": 5}, "json"),
        (b"1", {"info": '{"a":"\ud800"}'}, "json"),
        (b"1", {"tag-a": 5}, "json"),
    ],
)
def test_a_live_publication_that_cannot_be_shown_is_refused(
    body: bytes, headers: dict[str, object], data_format: str
) -> None:
    with pytest.raises(ContractError):
        live_publication(body, headers, data_format)


def test_bytes_of_a_live_publication_on_a_binary_namespace_are_taken_but_not_shown_as_json() -> None:
    publication = live_publication(b"\x00\x01", {}, "binary")
    assert (publication.data, publication.is_json) == (b"\x00\x01", False)
    assert json_publication(publication) == JsonPushHead("a").publication(publication) == NOTHING


def test_a_durable_publication_shows_its_offset_and_time() -> None:
    headers = {"offset": 5, "epoch": "E", "time": 1700, "tag-k": "v"}
    epoch, publication = durable_publication(b'{"a":1}', headers, "json", trace="t")
    assert (epoch, publication.offset, publication.trace) == ("E", 5, "t")
    assert json_publication(publication) == b'{"data":{"a":1},"offset":5,"tags":{"k":"v"},"time":1700}'


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"offset": 1},
        {"epoch": "E"},
        {"offset": 0, "epoch": "E"},
        {"offset": True, "epoch": "E"},
        {"offset": "1", "epoch": "E"},
        {"offset": 1, "epoch": ""},
        {"offset": 1, "epoch": 3},
    ],
)
def test_a_durable_publication_without_a_position_is_refused(headers: dict[str, object]) -> None:
    with pytest.raises(ContractError):
        durable_publication(b"1", headers, "json")


def test_unusable_headers_cost_a_durable_publication_nothing_but_themselves() -> None:
    _, publication = durable_publication(b"1", {"offset": 1, "epoch": "E", "info": "no", "tag-a": 3}, "json")
    assert json_publication(publication) == b'{"data":1,"offset":1}'


def test_bytes_that_are_no_json_hold_their_place_in_the_stream_without_being_shown() -> None:
    _, publication = durable_publication(b"\x00", {"offset": 3, "epoch": "E"}, "binary")
    assert (publication.offset, json_publication(publication)) == (3, NOTHING)


def test_a_stored_publication_looks_like_the_delivered_one() -> None:
    headers = {"offset": 2, "epoch": "E", "time": 9, "info": '{"user":"u","client":"c"}', "tag-a": "b"}
    _, delivered = durable_publication(b"[1,\n2]", headers, "json")
    stored = StoredPublication(offset=2, data="[1,\n2]", info='{"user":"u","client":"c"}', tags={"a": "b"}, time=9)
    assert stored_publication(stored) == delivered


def test_stored_bytes_are_shown_if_they_are_json() -> None:
    def stored(data: str) -> bytes:
        return json_publication(stored_publication(StoredPublication(offset=1, data=data, binary=True)))

    assert stored(base64.b64encode(b'{"a":1}').decode()) == b'{"data":{"a":1},"offset":1}'
    assert stored(base64.b64encode(b"\x00").decode()) == NOTHING
    assert stored("no base64!") == NOTHING


def test_a_broken_info_of_a_stored_publication_is_left_out() -> None:
    stored = stored_publication(StoredPublication(offset=1, data="1", info="{"))
    assert json_publication(stored) == b'{"data":1,"offset":1}'


def test_joins_and_leaves_show_who() -> None:
    info = client_info(Member(client="c", user="u", conn_info='{"n":\n1}', chan_info='"x"'))
    head = JsonPushHead("a:b")
    who = {"user": "u", "client": "c", "conn_info": {"n": 1}, "chan_info": "x"}
    assert orjson.loads(head.join(info)) == {"push": {"channel": "a:b", "join": {"info": who}}}
    assert orjson.loads(head.leave(info)) == {"push": {"channel": "a:b", "leave": {"info": who}}}


def test_a_client_info_names_an_anonymous_user_too() -> None:
    assert client_info(Member(client="c")) == b'{"user":"","client":"c"}'


def test_a_member_whose_info_is_no_json_is_refused() -> None:
    with pytest.raises(ContractError):
        client_info(Member(client="c", conn_info="{"))
