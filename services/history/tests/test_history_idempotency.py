"""How a store grows older."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from warren_history.domain.idempotency import LONGEST_STEP, aged

moments = st.integers(0, 2_000_000_000_000)


def test_a_store_in_use_ages_with_the_clock() -> None:
    assert aged(1_000, seen=5_000, now=5_750) == 1_750


def test_a_pause_longer_than_the_longest_step_counts_as_one() -> None:
    assert aged(1_000, seen=0, now=LONGEST_STEP * 100) == 1_000 + LONGEST_STEP


def test_a_clock_that_steps_back_makes_nothing_younger() -> None:
    assert aged(1_000, seen=5_000, now=4_000) == 1_000


@given(age=st.integers(0, 10**9), times=st.lists(moments, min_size=2))
def test_a_store_never_gets_younger_nor_older_than_its_uses_allow(age: int, times: list[int]) -> None:
    for seen, now in itertools.pairwise(times):
        older = aged(age, seen, now)
        assert age <= older <= age + LONGEST_STEP
        age = older
