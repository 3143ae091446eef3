"""When quiet channels are looked at."""

from __future__ import annotations

from dataclasses import dataclass

from warren_gateway.domain.position_checks import PositionChecks


@dataclass(eq=False)
class Channel:
    active: bool = False


def checks(per_call: int = 100, jitter: float = 0.5) -> PositionChecks[Channel]:
    return PositionChecks(40.0, per_call, lambda: jitter)


def test_a_quiet_channel_is_due_again_and_again() -> None:
    made, channel = checks(), Channel()
    made.add(channel, 0)
    assert [bool(made.due(now)) for now in (0, 39, 40, 41, 79, 80)] == [False, False, True, False, False, True]


def test_what_arrived_is_as_good_as_a_check() -> None:
    made, channel = checks(), Channel()
    made.add(channel, 0)
    channel.active = True
    assert made.due(40) == []
    assert made.due(80) == [channel]


def test_quiet_is_noticed_an_interval_after_what_came_last_not_after_the_next_look() -> None:
    for last in range(1, 60, 3):
        for jitter in (0.0, 0.5, 1.0):
            made, channel = checks(jitter=jitter), Channel()
            made.add(channel, 0)
            noticed = []
            for now in range(1, 200):
                channel.active |= now <= last
                if made.due(now) and now > last:
                    noticed.append(now)
            assert 20 <= noticed[0] - last <= 50 + 1, (last, jitter, noticed)


def test_a_channel_that_is_never_quiet_is_never_due() -> None:
    made, channel = checks(), Channel()
    made.add(channel, 0)
    for now in range(1, 400):
        channel.active |= now % 9 == 0
        assert made.due(now) == []


def test_a_channel_that_is_gone_is_not_due() -> None:
    made, channel = checks(), Channel()
    made.add(channel, 0)
    made.remove(channel)
    assert made.due(100) == []


def test_the_number_of_checks_is_bounded_and_the_rest_stays_due() -> None:
    made = checks(per_call=3)
    for _ in range(5):
        made.add(Channel(), 0)
    assert [len(made.due(50)) for _ in range(3)] == [3, 2, 0]


def test_jitter_spreads_the_checks_around_the_interval() -> None:
    for jitter, due in ((0.0, 30), (1.0, 50)):
        made, channel = checks(jitter=jitter), Channel()
        made.add(channel, 0)
        assert made.due(due - 1) == []
        assert made.due(due) == [channel]
