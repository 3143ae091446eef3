"""What a read may ask, and how a page is written."""

from __future__ import annotations

from base64 import b64encode

import pytest

from warren_history.domain.publications import Content, ReadPlan, Retention, Stored, StreamPage
from warren_history.domain.reading import ReadLimits, page_of, plan_read
from warren_shared.contracts.codes import ErrorCode, Errors
from warren_shared.contracts.history import Page, ReadRequest
from warren_shared.contracts.namespaces import parse_namespaces

NAMESPACES = parse_namespaces(
    "namespaces: [{name: chat, history_size: 10, history_ttl: 500ms, history_meta_ttl: 1h}, {name: live}]"
)
LIMITS = ReadLimits(publications=300, bytes=1000)


@pytest.mark.parametrize(("asked", "given"), [(0, 0), (1, 1), (300, 300), (301, 300), (-1, 300)])
def test_the_limit_is_capped_and_minus_one_asks_for_all(asked: int, given: int) -> None:
    plan = plan_read(ReadRequest(channel="chat:room", limit=asked), NAMESPACES, LIMITS)
    assert plan == ReadPlan("chat:room", Retention(10, 500, 3_600_000), given, 1000, None, False)


def test_since_and_reverse_are_taken_over() -> None:
    plan = plan_read(ReadRequest(channel="chat:room", limit=1, since_offset=0, reverse=True), NAMESPACES, LIMITS)
    assert isinstance(plan, ReadPlan)
    assert (plan.since, plan.reverse) == (0, True)


def test_the_greatest_offset_a_client_can_name_is_no_mistake() -> None:
    plan = plan_read(ReadRequest(channel="chat:room", since_offset=2**64 - 1), NAMESPACES, LIMITS)
    assert isinstance(plan, ReadPlan)
    assert plan.since == 2**63 - 1


@pytest.mark.parametrize(
    ("channel", "error"),
    [
        ("gone:room", Errors.UNKNOWN_CHANNEL),
        ("room", Errors.UNKNOWN_CHANNEL),
        ("live:room", Errors.NOT_AVAILABLE),
        ("", Errors.BAD_REQUEST),
        ("chat:#", Errors.BAD_REQUEST),
        ("chat:ü", Errors.BAD_REQUEST),
        ("chat:" + "x" * 256, Errors.BAD_REQUEST),
    ],
)
def test_what_cannot_be_read_is_answered_with_the_protocols_code(channel: str, error: ErrorCode) -> None:
    assert plan_read(ReadRequest(channel=channel), NAMESPACES, LIMITS) == error


def test_a_page_survives_the_wire() -> None:
    stored = (
        Stored(4, 1_700_000_000_000, Content(' {"a": "ü"}'.encode(), False, None, '{"user":"a"}', {"k": "v"})),
        Stored(5, 1_700_000_000_001, Content(b"\x00\xff", True)),
    )
    page = Page.decode(page_of(StreamPage("e1", 5, stored)).encode())
    first, second = page.publications
    assert (page.epoch, page.top) == ("e1", 5)
    assert (first.offset, first.data, first.binary, first.info) == (4, ' {"a": "ü"}', False, '{"user":"a"}')
    assert (first.tags, first.time) == ({"k": "v"}, 1_700_000_000_000)
    assert (second.offset, second.data, second.binary) == (5, b64encode(b"\x00\xff").decode(), True)
    assert (second.info, second.tags) == (None, {})
