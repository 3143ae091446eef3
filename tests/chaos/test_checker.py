"""The judge is judged: it passes every run in which the promise was kept, and finds each way to break it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaos.checker import check
from chaos.evidence import (
    Away,
    Diary,
    Ended,
    Entry,
    Evidence,
    Finding,
    History,
    Kind,
    Publication,
    Received,
    Subscribed,
)

CHANNEL, LIVE = "room:a", "live:a"
TOP = 6


def message(number: int) -> str:
    return f"m{number}"


def text(number: int) -> str:
    return f"text {number}"


def received(*numbers: int, live: bool = False) -> list[Entry]:
    return [Received(float(number) + 0.5, 0 if live else number, message(number), text(number)) for number in numbers]


def published(*numbers: int, channel: str = CHANNEL) -> list[Publication]:
    return [Publication(channel, message(n), text(n), float(n), n + 0.3) for n in numbers]


def stored(*numbers: int, top: int = TOP) -> History:
    return History("e", top, [(number, message(number), text(number)) for number in numbers])


BEGIN = Subscribed(0.0, "e", 0)
CONTINUED = Subscribed(3.9, "e", 3, was_recovering=True, recovered=True)
ALL = range(1, TOP + 1)


def evidence(
    entries: Sequence[Entry],
    *others: Sequence[Entry],
    publications: Sequence[Publication] | None = None,
    history: History | None = None,
    window: int = 100,
    upheavals: Sequence[tuple[float, float]] = (),
    to_the_end: bool = True,
) -> Evidence:
    diaries = [
        Diary(f"f{index}", CHANNEL, each, to_the_end=to_the_end) for index, each in enumerate([entries, *others])
    ]
    return Evidence(
        {CHANNEL: window},
        published(*ALL) if publications is None else publications,
        diaries,
        {CHANNEL: history or stored(*ALL)},
        upheavals,
    )


def kinds(findings: Sequence[Finding]) -> set[Kind]:
    return {finding.kind for finding in findings}


def test_a_run_without_faults_passes() -> None:
    assert check(evidence([BEGIN, *received(*ALL)])) == []


def test_who_is_away_and_recovers_everything_passes() -> None:
    assert check(evidence([BEGIN, *received(1, 2, 3), Away(3.6, 1), CONTINUED, *received(4, 5, 6)])) == []


def test_who_leaves_early_need_not_have_the_rest() -> None:
    assert check(evidence([BEGIN, *received(1, 2)], to_the_end=False)) == []


EARLY = Publication(CHANNEL, message(TOP), text(TOP), 0.1, 0.2)
"""What was numbered last was confirmed before all others were sent."""

BROKEN: dict[str, tuple[Evidence, Kind]] = {
    "a gap": (evidence([BEGIN, *received(1, 2, 4, 5, 6)]), Kind.LOST),
    "a missing end": (evidence([BEGIN, *received(1, 2, 3, 4, 5)]), Kind.LOST),
    "nothing at all": (evidence([BEGIN]), Kind.LOST),
    "no subscription": (evidence([]), Kind.LOST),
    "a duplicate": (evidence([BEGIN, *received(1, 2, 2, 3, 4, 5, 6)]), Kind.DUPLICATED),
    "a late duplicate": (evidence([BEGIN, *received(1, 2, 3, 4, 5, 6, 2)]), Kind.DUPLICATED),
    "disorder": (evidence([BEGIN, *received(1, 3, 2, 4, 5, 6)]), Kind.REORDERED),
    "a false recovery": (
        evidence([BEGIN, *received(1, 2, 3), CONTINUED, *received(5, 6)]), Kind.FALSELY_RECOVERED,
    ),
    "a recovery from another epoch": (
        evidence([BEGIN, *received(1, 2, 3), replace(CONTINUED, epoch="x"), *received(4, 5, 6)]),
        Kind.FALSELY_RECOVERED,
    ),
    "a needless refusal to recover": (
        evidence([BEGIN, *received(1, 2, 3), Subscribed(4.0, "e", 5, was_recovering=True), *received(6)]),
        Kind.NOT_RECOVERED,
    ),
    "a silent jump": (evidence([BEGIN, *received(1, 2, 3), Subscribed(4.0, "e", 5), *received(6)]), Kind.LOST),
    "a silent change of epoch": (
        evidence([BEGIN, *received(1, 2, 3), Subscribed(4.0, "x", 0), *received(*ALL)]), Kind.EPOCH,
    ),
    "an epoch that ends": (
        evidence([BEGIN, *received(1, 2, 3), Subscribed(4.0, "x", 0, was_recovering=True), *received(*ALL)]),
        Kind.EPOCH,
    ),
    "an epoch that is not the stored one": (evidence([replace(BEGIN, epoch="x"), *received(*ALL)]), Kind.EPOCH),
    "a position beyond what is stored": (evidence([BEGIN, *received(*ALL, 7)]), Kind.LOST),
    "an end for good": (evidence([BEGIN, *received(*ALL), Ended(9.0, 2000)]), Kind.ENDED),
    "a publication before the subscription": (evidence([*received(1), BEGIN, *received(*ALL)]), Kind.FOREIGN),
    "one offset for two publications": (
        evidence([BEGIN, *received(*ALL)], [BEGIN, *received(1), Received(2.5, 2, "m3", text(3)), *received(3, 4, 5)]),
        Kind.CONTRADICTION,
    ),
    "two offsets for one publication": (
        evidence(
            [BEGIN, *received(1, 2, 3, 4, 5), Received(6.5, 6, "m2", text(2))],
            publications=published(1, 2, 3, 4, 5),
            history=History("e", 6, [*stored(1, 2, 3, 4, 5).stored, (6, "m2", text(2))]),
        ),
        Kind.DUPLICATED,
    ),
    "a confirmed publication that was never stored": (
        evidence([BEGIN, *received(*ALL)], publications=published(*ALL, 7)), Kind.LOST,
    ),
    "a gap in what is stored": (evidence([BEGIN, *received(*ALL)], history=stored(1, 2, 4, 5, 6)), Kind.LOST),
    "disorder in what is stored": (evidence([BEGIN, *received(*ALL)], history=stored(1, 3, 2, 4, 5, 6)), Kind.LOST),
    "another text": (
        evidence([BEGIN, *received(1), Received(2.5, 2, "m2", "other"), *received(3, 4, 5, 6)]), Kind.FOREIGN,
    ),
    "what nobody published": (evidence([BEGIN, *received(*ALL)], publications=published(1, 2, 3, 4, 5)), Kind.FOREIGN),
    "what was confirmed first numbered last": (
        evidence([BEGIN, *received(*ALL)], publications=[*published(1, 2, 3, 4, 5), EARLY]),
        Kind.REORDERED,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("broken", "kind"), BROKEN.values(), ids=BROKEN)
def test_what_breaks_the_promise_is_found(broken: Evidence, kind: Kind) -> None:
    assert kind in kinds(check(broken))


def test_disorder_is_not_called_a_loss_as_well() -> None:
    assert kinds(check(BROKEN["disorder"][0])) == {Kind.REORDERED}


def test_a_loss_names_the_range_and_the_follower() -> None:
    (finding,) = check(evidence([BEGIN, *received(1, 4, 5, 6)]))

    assert str(finding) == "lost: room:a, f0: 2 to 3 never came"


def test_who_was_away_longer_than_the_window_is_excused_that_range_and_only_that() -> None:
    told = Subscribed(4.0, "e", 5, was_recovering=True)
    fine = evidence(
        [BEGIN, *received(1, 2), told, *received(6)], [BEGIN, *received(*ALL)], window=2, history=stored(5, 6)
    )
    short = evidence(
        [BEGIN, *received(2), told, *received(6)], [BEGIN, *received(*ALL)], window=2, history=stored(5, 6)
    )

    assert check(fine) == []
    assert [str(finding) for finding in check(short)] == ["lost: room:a, f0: 1 to 1 never came"]


def test_what_was_trimmed_before_anybody_saw_it_cannot_be_missed() -> None:
    told = [BEGIN, Subscribed(6.0, "e", 4, was_recovering=True), *received(5, 6)]

    assert check(evidence(told, window=2, history=stored(5, 6))) == []
    assert kinds(check(evidence(told, window=2, history=stored(5, 6), publications=published(*ALL, 7)))) == {Kind.LOST}


def test_what_was_never_confirmed_may_be_there_or_not() -> None:
    unconfirmed = [replace(each, confirmed=None) for each in published(6, 7)]

    assert check(evidence([BEGIN, *received(*ALL)], publications=[*published(1, 2, 3, 4, 5), *unconfirmed])) == []


@pytest.mark.parametrize(("upheaval", "excused"), [((5.0, 7.0), True), ((7.0, 8.0), False), ((0.0, 0.05), False)])
def test_the_order_of_confirms_may_be_lost_only_to_a_death_of_the_broker_while_one_waits(
    upheaval: tuple[float, float], excused: bool
) -> None:
    run = evidence([BEGIN, *received(*ALL)], publications=[*published(1, 2, 3, 4, 5), EARLY], upheavals=[upheaval])

    assert kinds(check(run)) == (set() if excused else {Kind.REORDERED})


def live(entries: Sequence[Entry], disturbed: Sequence[tuple[float, float]] = ()) -> list[Finding]:
    diary = Diary("f0", LIVE, entries, disturbed=disturbed)
    return check(Evidence({}, published(*range(1, 10), channel=LIVE), [diary], {}))


LIVE_BEGIN, LIVE_END = Subscribed(0.5, "", 0), Away(20.0, 1)


def test_a_live_channel_that_flows_passes() -> None:
    assert live([LIVE_BEGIN, *received(*range(1, 10), live=True), LIVE_END]) == []


def test_a_live_publication_may_be_missed_by_who_is_away_or_behind_something_broken() -> None:
    away = [LIVE_BEGIN, *received(1, 2, 3, live=True), Away(3.6, 1), Subscribed(5.5, "", 0)]

    assert live([*away, *received(7, 8, 9, live=True), LIVE_END]) == []
    assert live([LIVE_BEGIN, *received(1, 2, 3, 6, 7, 8, 9, live=True), LIVE_END], [(3.5, 5.5)]) == []


@pytest.mark.parametrize(("seconds", "lost"), [(4.0, False), (6.0, True)])
def test_a_live_publication_may_be_lost_to_what_breaks_while_it_is_under_way(seconds: float, lost: bool) -> None:
    moment = 9.3 + seconds
    entries = [LIVE_BEGIN, *received(*range(1, 9), live=True)]

    assert bool(live([*entries, Away(moment, 1)])) is lost
    assert bool(live([*entries, LIVE_END], [(moment, moment + 1)])) is lost


@pytest.mark.parametrize(
    ("numbers", "kind"),
    [((1, 2, 4, 5), Kind.LOST), ((1, 3, 2), Kind.REORDERED), ((1, 1), Kind.DUPLICATED), ((99,), Kind.FOREIGN)],
)
def test_a_live_channel_that_loses_reorders_or_doubles_is_found(numbers: Sequence[int], kind: Kind) -> None:
    assert kind in kinds(live([LIVE_BEGIN, *received(*numbers, live=True), LIVE_END]))


@st.composite
def kept_promises(draw: st.DrawFn) -> Evidence:
    """Return a run in which followers come and go and everything is as promised."""
    top, window = draw(st.integers(1, 30)), draw(st.integers(1, 40))
    followers = draw(st.lists(st.lists(st.integers(1, 12), min_size=1, max_size=8), min_size=1, max_size=4))
    diaries = [faithful(steps, top, window) for steps in followers]
    everything = [BEGIN, *received(*range(1, top + 1))]
    history = stored(*range(max(1, top - window + 1), top + 1), top=top)
    publications = published(*range(1, top + 1))
    return evidence(everything, *diaries, publications=publications, history=history, window=window)


def faithful(steps: Sequence[int], top: int, window: int) -> list[Entry]:
    """Return the diary of a follower that in turns receives so many and misses so many, and catches up in the end."""
    entries: list[Entry] = [BEGIN]
    position = newest = 0
    for index, step in enumerate(steps):
        newest = min(top, newest + step)
        if index % 2:
            told = newest - position > window
            offset = newest if told else position
            entries += [Away(0.0, 1), Subscribed(0.0, "e", offset, was_recovering=True, recovered=not told)]
            position = offset
        entries += received(*range(position + 1, newest + 1))
        position = newest
    return [*entries, *received(*range(position + 1, top + 1))]


@settings(deadline=None)
@given(kept_promises())
def test_every_run_that_keeps_the_promise_passes(run: Evidence) -> None:
    assert check(run) == []


def without(entries: list[Entry], index: int) -> list[Entry]:
    return entries[:index] + entries[index + 1 :]


def doubled(entries: list[Entry], index: int) -> list[Entry]:
    return [*entries[: index + 1], *entries[index:]]


def swapped(entries: list[Entry], index: int) -> list[Entry]:
    return [*entries[:index], *entries[index : index + 2][::-1], *entries[index + 2 :]]


@pytest.mark.parametrize("damage", [without, doubled, swapped])
@settings(deadline=None)
@given(data=st.data(), run=kept_promises())
def test_any_publication_that_is_missing_doubled_or_swapped_is_found(
    damage: Callable[[list[Entry], int], list[Entry]], data: st.DataObject, run: Evidence
) -> None:
    """Before a refusal to recover a loss would be excused with the rest."""
    diary = data.draw(st.sampled_from(list(run.diaries)))
    entries = list(diary.entries)
    pairs = pairwise(entries)
    places = [index for index, pair in enumerate(pairs) if all(isinstance(each, Received) for each in pair)]
    if places:
        worse = replace(diary, entries=damage(entries, data.draw(st.sampled_from(places))))
        assert check(replace(run, diaries=[worse]))
