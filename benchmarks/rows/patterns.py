"""What a publication that no pattern matches costs a gateway that has a thousand of them."""

from __future__ import annotations

import time

from benchmarks.suite import Suite
from benchmarks.table import Result
from warren_gateway.domain.pattern_trie import PatternTrie

PATTERNS = 1_000
KEYS = 50_000
BUDGET = 5e-6
SHAPES = ("orders.eu.{}.created", "orders.*.{}.created", "orders.eu.*.{}", "orders.{}.#", "trades.#.{}")


def _seconds(patterns: int) -> float:
    """Return the CPU seconds of one look-up of a key that none of so many patterns matches."""
    trie: PatternTrie[int] = PatternTrie()
    for number in range(patterns):
        trie.put(SHAPES[number % len(SHAPES)].format(f"p{number}"), number)
    keys = [f"orders.eu.{number}.updated" for number in range(KEYS)]
    began = time.process_time()
    matched = sum(bool(trie.match(key)) for key in keys)
    spent = time.process_time() - began
    if matched:
        raise RuntimeError("a pattern matches that should not")
    return spent / KEYS


async def rows(_suite: Suite) -> list[Result]:
    """Measure, in this process: the look-up is all that such a publication has to do with patterns."""
    few, many = _seconds(10), _seconds(PATTERNS)
    return [
        Result(
            f"CPU of a publication that none of {PATTERNS} patterns matches",
            "< 5 us",
            f"{many * 1e6:.1f} us",
            many < BUDGET,
            f"of 10 patterns {few * 1e6:.1f} us",
        )
    ]
