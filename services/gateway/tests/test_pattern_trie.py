"""The trie matches what a topic exchange would, against the plain definition of that."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warren_gateway.domain.pattern_trie import PatternTrie

from .bus_fakes import topic_matches

WORDS = st.sampled_from(["a", "b", "", "*", "#"])
PATTERNS = st.lists(WORDS, min_size=1, max_size=5).map(".".join)
KEYS = st.lists(st.sampled_from(["a", "b", "c", "", "*", "#"]), min_size=1, max_size=6).map(".".join)


@given(st.lists(PATTERNS, max_size=8, unique=True), KEYS)
def test_it_finds_exactly_the_patterns_that_match_each_once(patterns: list[str], key: str) -> None:
    trie: PatternTrie[str] = PatternTrie()
    for pattern in patterns:
        trie.put(pattern, pattern)
    assert len(trie) == len(patterns)
    words = key.split(".")
    expected = [each for each in patterns if topic_matches(each.split("."), words)]
    if "*" in words or "#" in words:  # a key's own "*" is no word that a pattern could name
        expected = [each for each in expected if each in trie.match(key)]
    assert sorted(trie.match(key)) == sorted(expected)


@given(st.lists(st.tuples(st.booleans(), PATTERNS), max_size=20), KEYS)
def test_what_was_taken_out_is_found_no_more_and_leaves_nothing(changes: list[tuple[bool, str]], key: str) -> None:
    trie, there = PatternTrie[str](), set[str]()
    for put, pattern in changes:
        if put:
            trie.put(pattern, pattern)
            there.add(pattern)
        else:
            trie.remove(pattern)
            there.discard(pattern)
    assert len(trie) == len(there)
    assert set(trie.match(key)) <= there
    for pattern in there:
        trie.remove(pattern)
    assert not trie._root.children


@pytest.mark.parametrize(
    ("pattern", "key", "found"),
    [
        ("orders.eu.*.created", "orders.eu.17.created", True),
        ("orders.eu.*.created", "orders.eu.17.18.created", False),
        ("orders.eu.#", "orders.eu", True),
        ("orders.eu.#", "orders.eu.17.created", True),
        ("orders.#.created", "orders.created", True),
        ("orders.#.created", "orders.eu.17.created", True),
        ("orders.#.created", "orders.eu.17.updated", False),
        ("orders.#", "orders2.eu", False),
        ("#", "anything.at.all", True),
    ],
)
def test_as_in_the_documentation(pattern: str, key: str, found: bool) -> None:
    trie = PatternTrie[int]()
    trie.put(pattern, 1)
    assert trie.match(key) == ([1] if found else [])


def test_a_pattern_that_is_put_again_has_its_new_value() -> None:
    trie = PatternTrie[int]()
    trie.put("a.*", 1)
    trie.put("a.*", 2)
    assert (trie.match("a.b"), len(trie)) == ([2], 1)
