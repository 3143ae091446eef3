"""Tags filters: what they mean, what is refused, and that they agree with a plain reading of the protocol."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warren_gateway.domain.tags_filter import (
    MOST_BYTES,
    MOST_NODES,
    MOST_VALUES,
    FilterNode,
    Tags,
    TagsFilter,
    TagsFilterError,
)


def leaf(cmp: str, val: str = "", *vals: str, key: str = "k") -> FilterNode:
    return FilterNode(key=key, cmp=cmp, val=val, vals=vals)


def wanted(node: FilterNode, tags: Tags) -> bool:
    return TagsFilter(node).matches(tags)


@pytest.mark.parametrize(
    ("node", "tag", "holds"),
    [
        (leaf("eq", "a"), "a", True),
        (leaf("eq", "a"), "b", False),
        (leaf("neq", "a"), "a", False),
        (leaf("neq", "a"), "b", True),
        (leaf("in", "", "a", "b"), "b", True),
        (leaf("in", "", "a", "b"), "c", False),
        (leaf("in"), "", False),
        (leaf("nin", "", "a"), "a", False),
        (leaf("nin", "", "a"), "b", True),
        (leaf("ex"), "", True),
        (leaf("nex"), "", False),
        (leaf("sw", "ab"), "abc", True),
        (leaf("sw", "ab"), "cab", False),
        (leaf("ew", "ab"), "cab", True),
        (leaf("ew", "ab"), "abc", False),
        (leaf("ct", "b"), "abc", True),
        (leaf("ct", "d"), "abc", False),
        (leaf("lt", "10"), "9", True),
        (leaf("lt", "10"), "10", False),
        (leaf("lte", "10"), "10.0", True),
        (leaf("gt", "0.1"), "0.1000000000000000000000001", True),
        (leaf("gt", "0.1"), "0.1", False),
        (leaf("gte", "-3"), "-3", True),
        (leaf("gt", "5"), "many", False),
        (leaf("gt", "5"), "NaN", False),
        (leaf("gt", "5"), "Infinity", False),
        (leaf("gt", "5"), "", False),
    ],
)
def test_each_comparison(node: FilterNode, tag: str, holds: bool) -> None:
    assert wanted(node, {"k": tag, "other": "x"}) is holds


@pytest.mark.parametrize("cmp", ["eq", "neq", "in", "nin", "ex", "nex", "sw", "ew", "ct", "lt", "lte", "gt", "gte"])
def test_of_a_tag_that_is_not_there_only_negations_hold(cmp: str) -> None:
    assert wanted(leaf(cmp, "1", "1"), {"other": "1"}) is (cmp in {"neq", "nin", "nex"})


@pytest.mark.parametrize(
    ("node", "told"),
    [
        (FilterNode(), "key"),
        (leaf("eq", "a", key=""), "key"),
        (leaf(""), "cmp"),
        (leaf("like", "a"), "'like'"),
        (leaf("gt", "five"), "'five'"),
        (leaf("lt", "NaN"), "'NaN'"),
        (leaf("lt", "1e9999999999999999999"), "no number"),
        (FilterNode(op="xor", nodes=(leaf("ex"),)), "'xor'"),
        (FilterNode(op="and"), "'and' with 0"),
        (FilterNode(op="or"), "'or' with 0"),
        (FilterNode(op="not", nodes=(leaf("ex"), leaf("ex"))), "'not' with 2"),
        (FilterNode(key="k", cmp="ex", nodes=(leaf("ex"),)), "no nodes"),
        (FilterNode(op="or", nodes=(leaf("ex"), leaf("like"))), "'like'"),
        (FilterNode(op="or", nodes=(leaf("ex"),) * MOST_NODES), "nodes"),
        (leaf("in", "", *map(str, range(MOST_VALUES + 1))), "values"),
        (leaf("eq", "x" * (MOST_BYTES + 1)), "bytes"),
    ],
)
def test_what_means_nothing_or_is_too_large_is_refused(node: FilterNode, told: str) -> None:
    with pytest.raises(TagsFilterError, match=told):
        TagsFilter(node)


def test_nesting_is_bounded_by_the_number_of_nodes() -> None:
    node = leaf("ex")
    for _ in range(MOST_NODES - 1):
        node = FilterNode(op="not", nodes=(node,))
    assert wanted(node, {"k": ""}) is (MOST_NODES % 2 == 1)
    for _ in range(5000):
        node = FilterNode(op="not", nodes=(node,))
    with pytest.raises(TagsFilterError, match="nodes"):
        TagsFilter(node)


def reading(node: FilterNode, tags: Tags) -> bool:
    """What the protocol says, word by word."""
    if node.op:
        inner = [reading(each, tags) for each in node.nodes]
        return {"and": all(inner), "or": any(inner), "not": not inner[0]}[node.op]
    if node.key not in tags:
        return node.cmp in {"neq", "nin", "nex"}
    tag = tags[node.key]
    if node.cmp in {"lt", "lte", "gt", "gte"}:
        return compares(node.cmp, tag, Decimal(node.val))
    return {
        "eq": tag == node.val,
        "neq": tag != node.val,
        "in": tag in node.vals,
        "nin": tag not in node.vals,
        "ex": True,
        "nex": False,
        "sw": tag.startswith(node.val),
        "ew": tag.endswith(node.val),
        "ct": node.val in tag,
    }[node.cmp]


def compares(cmp: str, tag: str, bound: Decimal) -> bool:
    try:
        number = Decimal(tag)
    except InvalidOperation:
        return False
    if not number.is_finite():
        return False
    return {"lt": number < bound, "lte": number <= bound, "gt": number > bound, "gte": number >= bound}[cmp]


KEYS, VALUES = st.sampled_from(["a", "b"]), st.sampled_from(["", "1", "1.0", "2", "12", "x", "xy", "NaN"])
TEXTS = st.sampled_from(["eq", "neq", "in", "nin", "ex", "nex", "sw", "ew", "ct"])
COMPARISONS = st.builds(
    FilterNode, key=KEYS, cmp=TEXTS, val=VALUES, vals=st.lists(VALUES, max_size=3).map(tuple)
) | st.builds(
    FilterNode, key=KEYS, cmp=st.sampled_from(["lt", "lte", "gt", "gte"]), val=st.sampled_from(["1", "1.5", "2"])
)


def _combined(inner: st.SearchStrategy[FilterNode]) -> st.SearchStrategy[FilterNode]:
    several = st.lists(inner, min_size=1, max_size=3).map(tuple)
    return st.builds(FilterNode, op=st.sampled_from(["and", "or"]), nodes=several) | st.builds(
        FilterNode, op=st.just("not"), nodes=st.tuples(inner)
    )


FILTERS = st.recursive(COMPARISONS, _combined, max_leaves=8)


@given(FILTERS, st.dictionaries(KEYS, VALUES))
def test_a_filter_lets_through_what_the_protocol_says(node: FilterNode, tags: dict[str, str]) -> None:
    assert wanted(node, tags) is reading(node, tags)


@given(FILTERS, FILTERS)
def test_filters_are_equal_if_they_are_written_the_same(one: FilterNode, other: FilterNode) -> None:
    assert (TagsFilter(one) == TagsFilter(other)) is (one == other)
    assert one != other or hash(TagsFilter(one)) == hash(TagsFilter(other))
