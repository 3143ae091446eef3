"""Finding connections by client, user and session."""

from __future__ import annotations

import gc
import tracemalloc
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warren_gateway.domain.directory import Directory


@dataclass(eq=False)
class Entry:
    client: str
    user: str = ""
    session: str = ""


def directory(*entries: Entry) -> Directory[Entry]:
    made: Directory[Entry] = Directory()
    for entry in entries:
        made.add(entry)
        made.identify(entry)
    return made


A1, A2, B1, NOBODY = Entry("a1", "alice", "s1"), Entry("a2", "alice", "s2"), Entry("b1", "bob", "s3"), Entry("n1")


@pytest.mark.parametrize(
    ("user", "client", "session", "found"),
    [
        ("alice", None, None, {"a1", "a2"}),
        ("bob", None, None, {"b1"}),
        ("carol", None, None, set()),
        (None, "a1", None, {"a1"}),
        (None, "n1", None, {"n1"}),
        (None, "x", None, set()),
        ("alice", "a2", None, {"a2"}),
        ("bob", "a2", None, set()),
        ("alice", None, "s2", {"a2"}),
        (None, "a1", "s2", set()),
        (None, None, "s1", set()),
        (None, None, None, set()),
        ("", None, None, set()),
    ],
)
def test_all_that_is_given_must_be_true_and_nobody_is_found_by_what_is_not(
    user: str | None, client: str | None, session: str | None, found: set[str]
) -> None:
    made = directory(A1, A2, B1, NOBODY)
    assert {entry.client for entry in made.find(user, client, session)} == found


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5), st.sampled_from(["", "alice", "bob"]))))
def test_it_knows_who_was_added_and_not_removed(steps: list[tuple[bool, int, str]]) -> None:
    made, model = directory(), dict[str, Entry]()
    for adds, number, user in steps:
        name = f"c{number}"
        if adds and name not in model:
            model[name] = Entry(name, user)
            made.add(model[name])
            made.identify(model[name])
        elif not adds:
            made.remove(model.pop(name, Entry(name, user)))
        assert set(made) == set(model.values())
        for each in ("alice", "bob"):
            assert set(made.find(each, None, None)) == {entry for entry in model.values() if entry.user == each}


def test_a_connection_that_is_gone_is_not_entered_again_under_its_user() -> None:
    made = directory()
    late = Entry("a1", "alice")
    made.add(late)
    made.remove(late)
    made.identify(late)
    assert made.find("alice", None, None) == []


def test_nothing_is_left_of_users_that_are_gone_and_an_entry_costs_little() -> None:
    entries = [Entry(f"client-{number}", f"user-{number}") for number in range(20_000)]
    gc.collect()
    tracemalloc.start()
    try:
        made = directory(*entries)
        each = tracemalloc.get_traced_memory()[0] / len(entries)
        for entry in entries:
            made.remove(entry)
        left = len(made._by_user)
    finally:
        tracemalloc.stop()
    assert left == 0
    assert each < 100, f"{each} bytes"
