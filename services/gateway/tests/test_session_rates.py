"""What sessions may send in requests of their own, and what is remembered of it."""

from __future__ import annotations

from warren_gateway.domain.session_rates import SessionRates


def test_each_session_has_its_own_share_and_it_fills_again_over_time() -> None:
    rates = SessionRates(2, 0)
    assert [rates.admit("a", 1, 0.0) for _ in range(3)] == [True, True, False]
    assert rates.admit("b", 1, 0.0)
    assert [rates.admit("a", 1, 0.5) for _ in range(2)] == [True, False]


def test_bytes_are_bounded_as_well() -> None:
    rates = SessionRates(0, 100)
    assert [rates.admit("a", size, 0.0) for size in (60, 60, 40, 1)] == [True, False, True, False]
    assert rates.admit("a", 100, 1.0)
    assert not rates.admit("a", 101, 9.0)


def test_without_limits_everything_is_admitted() -> None:
    rates = SessionRates(0, 0)
    assert all(rates.admit("a", 1_000_000, 0.0) for _ in range(1000))


def test_a_session_is_forgotten_once_its_share_is_full_again_and_not_before() -> None:
    rates = SessionRates(1, 0)
    assert rates.admit("a", 1, 0.0)
    rates.admit("b", 1, 0.875)
    assert (len(rates), rates.admit("a", 1, 0.9375)) == (2, False)
    rates.admit("c", 1, 1.875)
    assert len(rates) == 2
    rates.admit("c", 1, 2.0)
    assert len(rates) == 1


def test_no_more_sessions_are_remembered_than_allowed_and_those_that_are_go_on() -> None:
    rates = SessionRates(2, 0, most_sessions=2)
    assert [rates.admit(session, 1, 0.0) for session in "abca"] == [True, True, False, True]
    assert len(rates) == 2
    assert rates.admit("c", 1, 1.0)
