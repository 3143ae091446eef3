"""Who gets what was missed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warren_gateway.domain.encoding import NOTHING
from warren_gateway.domain.json_encoding import JSON
from warren_gateway.domain.publications import Publication
from warren_gateway.domain.recovery import Recovery, judge, newest
from warren_shared.contracts.publication import Position


def pub(offset: int) -> Publication:
    return Publication(b"%d" % offset, offset)


@pytest.mark.parametrize(
    ("since", "current", "held_from", "verdict"),
    [
        (Position("E", 5), Position("E", 5), None, Recovery.RECOVERED),
        (Position("", 5), Position("E", 5), None, Recovery.RECOVERED),
        (Position("", 0), Position("E", 0), None, Recovery.RECOVERED),
        (Position("F", 5), Position("E", 5), 0, Recovery.IMPOSSIBLE),
        (Position("_", 0), Position("E", 5), 0, Recovery.IMPOSSIBLE),
        (Position("E", 3), Position("E", 5), 3, Recovery.RECOVERED),
        (Position("E", 3), Position("E", 5), 4, Recovery.UNKNOWN),
        (Position("E", 3), Position("E", 5), None, Recovery.UNKNOWN),
        (Position("E", 9), Position("E", 5), 0, Recovery.UNKNOWN),
        (Position("E", 2**63 - 1), Position("E", 5), 0, Recovery.UNKNOWN),
        (Position("E", 2**63), Position("E", 5), 0, Recovery.IMPOSSIBLE),
        (Position("", 2**64 - 1), Position("E", 5), None, Recovery.IMPOSSIBLE),
        (Position("E", 0), Position("E", 10), 0, Recovery.RECOVERED),
        (Position("E", 0), Position("E", 11), 0, Recovery.IMPOSSIBLE),
    ],
)
def test_verdicts(since: Position, current: Position, held_from: int | None, verdict: Recovery) -> None:
    window = None
    if held_from is not None:
        window = newest(map(pub, range(held_from + 1, current.offset + 1)), current.offset, 20)
    assert judge(since, current, window, limit=10) is verdict


@given(st.sets(st.integers(1, 30)), st.integers(0, 30), st.integers(0, 12))
def test_a_window_is_the_longest_run_that_leads_to_its_end(held: set[int], end: int, limit: int) -> None:
    window = newest(map(pub, held), end, limit)
    run: list[int] = []
    while end - len(run) in held and len(run) < limit:
        run.append(end - len(run))
    assert [each.offset for each in window.publications()] == run[::-1]
    assert window.start == end - len(run)


@given(st.integers(0, 5), st.integers(0, 20), st.integers(1, 8))
def test_a_window_follows_the_stream_and_forgets_its_oldest(held: int, more: int, limit: int) -> None:
    window = newest(map(pub, range(1, held + 1)), held, limit)
    for offset in range(held + 1, held + more + 1):
        window.extend(pub(offset))
    kept = range(max(0, held + more - limit) + 1, held + more + 1)
    assert [each.offset for each in window.publications()] == list(kept)
    assert window.size == sum(len(b"%d" % offset) for offset in kept)
    for since in range(window.start, held + more + 1):
        assert window.after(since, JSON) == [
            b'{"data":%d,"offset":%d}' % (offset, offset) for offset in range(since + 1, held + more + 1)
        ]


def test_what_cannot_be_shown_has_its_place_among_what_is_recovered() -> None:
    window = newest([pub(1), Publication(b"\x00", 2, binary=True), pub(3)], 3, 10)
    assert window.start == 0
    assert window.after(0, JSON) == [b'{"data":1,"offset":1}', NOTHING, b'{"data":3,"offset":3}']
