"""Sessions are found by nothing but themselves."""

from __future__ import annotations

import pytest

from warren_gateway.adapters.sessions import Sessions


def test_who_was_added_is_found_until_removed() -> None:
    sessions: Sessions[str] = Sessions()
    sessions.add("first", "a")
    sessions.add("second", "b")
    assert (sessions.find("first"), sessions.find("second")) == ("a", "b")
    sessions.remove("first")
    assert (sessions.find("first"), sessions.find("second"), len(sessions)) == (None, "b", 1)


@pytest.mark.parametrize("guess", ["", "firs", "first ", "FIRST", "\ud800", "first\0"])
def test_nothing_else_finds_it(guess: str) -> None:
    sessions: Sessions[str] = Sessions()
    sessions.add("first", "a")
    assert sessions.find(guess) is None


def test_places_differ_from_gateway_to_gateway_so_that_none_can_be_aimed_at() -> None:
    assert Sessions[str]()._place(b"first") != Sessions[str]()._place(b"first")
