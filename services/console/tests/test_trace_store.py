"""The trace store: bounds, eviction, links, and which trace is the last publication's."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from warren_console.domain.spans import MAX_ATTRIBUTES, MAX_LINKS, MAX_TEXT, Span, SpanKind, SpanRef
from warren_console.domain.traces import StoreLimits, TraceStore


def trace_id(number: int) -> str:
    return f"{number:032x}"


def span(trace: int, number: int, *, start: int = 0, name: str = "step", parent: int = 0) -> Span:
    return Span(
        trace_id=trace_id(trace),
        span_id=f"{number:016x}",
        parent_id=f"{parent:016x}" if parent else "",
        name=name,
        service="gateway",
        start_ns=start,
        end_ns=start + 10,
    )


def publication(trace: int, number: int, *, start: int) -> Span:
    return replace(span(trace, number, start=start, name="publish warren.publish"), kind=SpanKind.PRODUCER)


def linking(source: Span, target: Span) -> Span:
    return replace(source, links=(SpanRef(target.trace_id, target.span_id),))


def test_over_the_limit_the_trace_added_to_least_recently_goes() -> None:
    store = TraceStore(StoreLimits(traces=2))
    store.add([span(1, 1), span(2, 2)])
    store.add([span(1, 3)])
    store.add([span(3, 4)])
    assert [summary.trace_id for summary in store.summaries(10)] == [trace_id(3), trace_id(1)]
    assert store.traces_evicted == 1


def test_a_span_added_again_replaces_the_first() -> None:
    store = TraceStore()
    store.add([span(1, 1, name="first")])
    store.add([span(1, 1, name="second")])
    assert [kept.name for kept in store.spans_of(trace_id(1))] == ["second"]
    assert store.size == store.spans_of(trace_id(1))[0].size


def test_a_full_trace_refuses_further_spans_but_takes_corrections() -> None:
    store = TraceStore(StoreLimits(spans_per_trace=2))
    assert store.add([span(1, 1), span(1, 2), span(1, 3)]) == 1
    assert store.add([span(1, 2, name="corrected")]) == 0
    assert len(store.spans_of(trace_id(1))) == 2
    assert store.spans_refused == 1


def test_memory_is_bounded_whatever_the_number_of_traces() -> None:
    bulky = [replace(span(n, n), name="x" * MAX_TEXT) for n in range(1, 101)]
    limit = 10 * bulky[0].size
    store = TraceStore(StoreLimits(total_bytes=limit))
    for each in bulky:
        store.add([each])
        assert store.size <= limit
    assert len(store) == 10


def test_texts_attributes_and_links_of_a_span_are_cut() -> None:
    store = TraceStore()
    store.add(
        [
            replace(
                span(1, 1, name="n" * 10_000),
                attributes={f"key{n}": "v" * 10_000 for n in range(1_000)},
                links=tuple(SpanRef(trace_id(n + 2), f"{n + 1:016x}") for n in range(1_000)),
            )
        ]
    )
    kept = store.spans_of(trace_id(1))[0]
    assert len(kept.name) == MAX_TEXT
    assert len(kept.attributes) == MAX_ATTRIBUTES
    assert {len(str(value)) for value in kept.attributes.values()} == {MAX_TEXT}
    assert len(kept.links) == MAX_LINKS


def test_the_last_publication_is_the_one_that_began_last_not_the_one_that_arrived_last() -> None:
    store = TraceStore()
    store.add([publication(2, 1, start=200)])
    store.add([publication(1, 2, start=100)])
    assert store.last_publication() == trace_id(2)


def test_requests_joins_and_internal_steps_are_no_publications() -> None:
    store = TraceStore()
    store.add([replace(span(1, 1, name="request history.read"), kind=SpanKind.CLIENT)])
    store.add([replace(span(2, 2, name="publish warren.presence"), kind=SpanKind.PRODUCER)])
    store.add([span(3, 3, name="describe warren.publish")])
    assert store.last_publication() is None


def test_a_live_publication_is_known_by_its_delivery_alone() -> None:
    store = TraceStore()
    store.add([replace(span(1, 1, name="deliver warren.deliver"), kind=SpanKind.CONSUMER)])
    assert store.last_publication() == trace_id(1)


def test_a_join_is_delivered_too_but_is_no_publication() -> None:
    store = TraceStore()
    store.add([replace(span(1, 1, name="deliver warren.deliver"), kind=SpanKind.CONSUMER)])
    store.add([replace(span(1, 2, name="process warren.presence"), kind=SpanKind.CONSUMER)])
    assert store.last_publication() is None


def test_the_destination_attribute_tells_a_publication_too() -> None:
    store = TraceStore()
    step = replace(
        span(1, 1, name="process partition"),
        kind=SpanKind.CONSUMER,
        attributes={"messaging.destination.name": "warren.history:chat.lobby:warren.history.2"},
    )
    store.add([step])
    assert store.last_publication() == trace_id(1)


def test_an_evicted_publication_is_no_longer_the_last() -> None:
    store = TraceStore(StoreLimits(traces=1))
    store.add([publication(1, 1, start=100)])
    store.add([span(2, 2)])
    assert store.last_publication() is None


def test_spans_that_link_in_are_found_with_their_descendants_only() -> None:
    store = TraceStore()
    cause = span(1, 1)
    bystander = span(2, 2)
    deliver = linking(span(2, 3, parent=2), cause)
    store.add([span(2, 4, parent=3), bystander, deliver, cause])
    assert {found.span_id for found in store.linked_to(trace_id(1))} == {f"{3:016x}", f"{4:016x}"}
    assert store.linked_to(trace_id(2)) == ()


def test_linked_spans_are_bounded() -> None:
    store = TraceStore(StoreLimits(linked_spans=5))
    cause = span(1, 1)
    store.add([cause, *(linking(span(2, n), cause) for n in range(2, 50))])
    assert len(store.linked_to(trace_id(1))) == 5


def test_an_evicted_trace_links_in_no_longer() -> None:
    store = TraceStore(StoreLimits(traces=2))
    cause = span(1, 1)
    store.add([linking(span(2, 2), cause)])
    store.add([cause])
    store.add([span(3, 3)])
    assert store.linked_to(trace_id(1)) == ()


def test_the_revision_tells_whether_there_is_news() -> None:
    store = TraceStore()
    before = store.revision
    store.add([span(1, 1)])
    assert store.revision != before


def test_publications_are_listed_first_and_not_pushed_out_by_other_traces() -> None:
    store = TraceStore()
    store.add([publication(1, 1, start=100)])
    store.add([publication(2, 2, start=200)])
    for number in range(3, 100):
        store.add([span(number, number, name="request presence.members")])
    listed = store.summaries(3)
    assert [summary.trace_id for summary in listed] == [trace_id(n) for n in (2, 1, 99, 98, 97)]
    assert [summary.publication for summary in listed] == [True, True, False, False, False]


def test_a_summary_covers_all_spans_and_is_named_by_the_earliest() -> None:
    store = TraceStore()
    late = replace(span(1, 2, start=500, name="late"), failed=True, service="history")
    store.add([late, span(1, 1, start=100, name="early")])
    [summary] = store.summaries(10)
    assert (summary.name, summary.services, summary.failed) == ("early", ("gateway", "history"), True)
    assert (summary.start_ns, summary.end_ns, summary.spans) == (100, 510, 2)


_arrivals = st.lists(
    st.builds(
        lambda trace, number, to: linking(span(trace, number), span(to, 1)) if to else span(trace, number),
        st.integers(1, 6),
        st.integers(1, 5),
        st.integers(0, 6),
    ),
    max_size=60,
)


@given(_arrivals, st.integers(1, 4), st.integers(1, 4))
def test_the_books_balance_after_any_arrivals(arrivals: list[Span], traces: int, per_trace: int) -> None:
    store = TraceStore(StoreLimits(traces=traces, spans_per_trace=per_trace))
    for arrival in arrivals:
        store.add([arrival])
    held = {summary.trace_id: store.spans_of(summary.trace_id) for summary in store.summaries(100)}
    assert len(store) == len(held) <= traces
    assert all(0 < len(spans) <= per_trace for spans in held.values())
    assert store.size == sum(each.size for spans in held.values() for each in spans)
    for target in range(1, 7):
        assert all(found.trace_id in held for found in store.linked_to(trace_id(target)))
