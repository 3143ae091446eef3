"""The waterfall: every span once, parents first, whatever order spans come in and whatever is missing."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from warren_console.domain.spans import Span, SpanRef
from warren_console.domain.waterfall import Relation, Waterfall, assemble

TRACE = f"{1:032x}"
OTHER = f"{2:032x}"


def span_id(number: int) -> str:
    return f"{number:016x}"


def span(number: int, parent: int = 0, *, start: int = 0, trace: str = TRACE, links: tuple[int, ...] = ()) -> Span:
    return Span(
        trace_id=trace,
        span_id=span_id(number),
        parent_id=span_id(parent) if parent else "",
        name=f"step {number}",
        service="gateway",
        start_ns=start,
        end_ns=start + 10,
        links=tuple(SpanRef(TRACE, span_id(target)) for target in links),
    )


def shape(waterfall: Waterfall) -> list[tuple[int, int, Relation]]:
    return [(int(row.span_id, 16), row.depth, row.relation) for row in waterfall.rows]


def test_children_follow_their_parent_in_order_of_start() -> None:
    spans = [span(4, 1, start=30), span(3, 2, start=20), span(2, 1, start=10), span(1)]
    assert shape(assemble(TRACE, spans)) == [
        (1, 0, Relation.ROOT),
        (2, 1, Relation.CHILD),
        (3, 2, Relation.CHILD),
        (4, 1, Relation.CHILD),
    ]


def test_a_parent_that_was_not_received_gets_a_row_of_its_own() -> None:
    waterfall = assemble(TRACE, [span(2, 9, start=5), span(3, 9, start=7)])
    assert shape(waterfall) == [(9, 0, Relation.MISSING), (2, 1, Relation.CHILD), (3, 1, Relation.CHILD)]
    assert waterfall.rows[0].span is None
    assert waterfall.span_count == 2


def test_a_linked_span_hangs_under_what_it_links_to_and_keeps_its_children() -> None:
    linked = [span(5, trace=OTHER, start=20, links=(2,)), span(6, 5, trace=OTHER, start=25)]
    assert shape(assemble(TRACE, [span(1), span(2, 1, start=10)], linked)) == [
        (1, 0, Relation.ROOT),
        (2, 1, Relation.CHILD),
        (5, 2, Relation.LINKED),
        (6, 3, Relation.CHILD),
    ]


def test_a_span_linked_to_a_publisher_outside_the_suite_shares_the_row_of_that_publisher() -> None:
    waterfall = assemble(TRACE, [span(2, 9, start=5)], [span(5, trace=OTHER, start=20, links=(9,))])
    assert shape(waterfall) == [(9, 0, Relation.MISSING), (2, 1, Relation.CHILD), (5, 1, Relation.LINKED)]


def test_the_same_span_id_in_two_traces_is_two_spans() -> None:
    waterfall = assemble(TRACE, [span(1)], [span(1, trace=OTHER, start=5, links=(1,))])
    assert shape(waterfall) == [(1, 0, Relation.ROOT), (1, 1, Relation.LINKED)]


def test_a_span_that_is_its_own_parent_is_shown_once() -> None:
    assert shape(assemble(TRACE, [span(1, 1)])) == [(1, 0, Relation.ROOT)]


def test_a_circle_of_parents_is_cut_where_it_begins_in_time() -> None:
    spans = [span(1, 3, start=30), span(2, 1, start=10), span(3, 2, start=20)]
    assert shape(assemble(TRACE, spans)) == [(2, 0, Relation.ROOT), (3, 1, Relation.CHILD), (1, 2, Relation.CHILD)]


def test_a_clock_that_ran_backwards_makes_no_negative_duration() -> None:
    backwards = Span(TRACE, span_id(1), "step", "gateway", start_ns=100, end_ns=40)
    waterfall = assemble(TRACE, [backwards])
    assert (waterfall.start_ns, waterfall.end_ns) == (100, 100)


def test_nothing_makes_an_empty_waterfall() -> None:
    assert assemble(TRACE, []) == Waterfall(TRACE, 0, 0, ())


_spans = st.lists(
    st.builds(
        lambda number, parent, start, other, link: span(
            number, parent, start=start, trace=OTHER if other else TRACE, links=(link,) if other else ()
        ),
        st.integers(1, 12),
        st.integers(0, 14),
        st.integers(0, 5),
        st.booleans(),
        st.integers(1, 14),
    ),
    max_size=24,
    unique_by=lambda each: (each.trace_id, each.span_id),
)


@given(_spans, st.randoms(use_true_random=False))
def test_the_order_of_arrival_changes_nothing(spans: list[Span], randomness: random.Random) -> None:
    shuffled = list(spans)
    randomness.shuffle(shuffled)
    assert assemble(TRACE, shuffled) == assemble(TRACE, spans)


@given(_spans)
def test_every_span_is_a_row_exactly_once(spans: list[Span]) -> None:
    shown = [row.span for row in assemble(TRACE, spans).rows if row.span is not None]
    assert sorted((each.trace_id, each.span_id) for each in shown) == sorted(
        (each.trace_id, each.span_id) for each in spans
    )


@given(_spans)
def test_every_child_is_one_step_below_its_parent(spans: list[Span]) -> None:
    depths: dict[tuple[str, str], int] = {}
    path: list[str] = []
    for row in assemble(TRACE, spans).rows:
        trace = row.span.trace_id if row.span else TRACE
        del path[row.depth :]
        path.append(row.span_id)
        depths[trace, row.span_id] = row.depth
        assert len(path) == row.depth + 1
        if row.span and row.relation is Relation.CHILD:
            assert path[-2] == row.span.parent_id
            assert depths.get((trace, row.span.parent_id), depths.get((TRACE, row.span.parent_id))) == row.depth - 1
