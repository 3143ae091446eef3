"""Pings, pongs and expiry."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warren_gateway.domain.effects import Effect, WakeAt
from warren_gateway.domain.events import ConnectAnswered, RefreshAnswered, TimeElapsed
from warren_gateway.domain.timers import TimerWheel

from .session_driver import ALICE, Talk, closed_with, connected, only, sent


def wake_at(effects: list[Effect]) -> float:
    return only(effects, WakeAt).time


def after(talk: Talk, now: float) -> list[Effect]:
    talk.now = now
    return talk.feed(TimeElapsed())


class TestPing:
    @pytest.mark.parametrize(("chance", "first"), [(0.0, 1012.5), (0.5, 1018.75), (0.999, 1024.9875)])
    def test_first_comes_at_random_in_the_second_half_of_the_interval(self, chance: float, first: float) -> None:
        assert wake_at(Talk(random=lambda: chance).connect()) == pytest.approx(first)

    def test_is_empty_and_must_be_answered_in_time(self) -> None:
        talk = connected()
        effects = after(talk, 1012.5)
        assert sent(effects) == [{}]
        assert wake_at(effects) == 1020.5
        assert closed_with(after(talk, 1020.5)) == 3012

    def test_that_is_answered_is_followed_by_the_next(self) -> None:
        talk = connected()
        after(talk, 1012.5)
        assert talk.say({}) == []
        assert after(talk, 1020.5) == [WakeAt(1037.5)]
        assert sent(after(talk, 1037.5)) == [{}]

    def test_is_not_answered_by_other_commands(self) -> None:
        talk = connected()
        after(talk, 1012.5)
        talk.say({"id": 2, "rpc": {}})
        assert closed_with(after(talk, 1020.5)) == 3012

    def test_answer_nobody_waits_for_is_a_bad_request(self) -> None:
        talk = connected()
        assert closed_with(talk.say({})) == 3501
        talk = connected()
        after(talk, 1012.5)
        talk.say({})
        assert closed_with(talk.say({})) == 3501

    def test_may_be_switched_off(self) -> None:
        talk = Talk(ping_interval=0)
        effects = talk.connect()
        assert not {"ping", "pong"} & set(sent(effects)[0]["connect"])
        assert not any(isinstance(effect, WakeAt) for effect in effects)

    def test_interval_is_announced_in_whole_seconds(self) -> None:
        assert sent(Talk(ping_interval=0.3).connect())[0]["connect"]["ping"] == 1

    def test_waking_early_changes_nothing(self) -> None:
        assert after(connected(), 1012.4) == [WakeAt(1012.5)]


class TestExpiry:
    def test_is_announced_and_comes_after_a_delay(self) -> None:
        talk = Talk(ping_interval=0)
        effects = talk.connect(ttl=60.9)
        assert sent(effects)[0]["connect"] | {"expires": True, "ttl": 60} == sent(effects)[0]["connect"]
        assert wake_at(effects) == pytest.approx(1085.9)
        assert closed_with(after(talk, 1085.0)) is None
        assert closed_with(after(talk, 1086.0)) == 3005

    def test_time_to_live_is_never_announced_as_zero(self) -> None:
        assert sent(Talk().connect(ttl=0.2))[0]["connect"]["ttl"] == 1

    @pytest.mark.parametrize("ttl", [2.0**32, 1e19, 1e300, float("inf")])
    def test_never_exceeds_what_the_protocol_can_say(self, ttl: float) -> None:
        talk = Talk(ping_interval=0)
        assert sent(talk.connect(ttl=ttl))[0]["connect"]["ttl"] == 2**32 - 1
        talk.say({"id": 2, "refresh": {"token": "t"}})
        assert sent(talk.feed(RefreshAnswered(2, ALICE, ttl)))[0]["refresh"]["ttl"] == 2**32 - 1

    def test_counts_from_auths_answer(self) -> None:
        from warren_gateway.domain.events import SubscribeAnswered
        from warren_gateway.domain.requests import Subscribed

        talk = Talk(ping_interval=0)
        talk.say({"id": 1, "connect": {}})
        talk.feed(ConnectAnswered(ALICE.model_copy(update={"channels": ("live:a",)}), ttl=60.0))
        talk.now += 4.0
        effects = talk.feed(SubscribeAnswered("live:a", Subscribed()))
        assert sent(effects)[0]["connect"]["ttl"] == 56
        assert wake_at(effects) == pytest.approx(1085.0)


@given(
    st.lists(st.tuples(st.floats(0, 100), st.booleans()), max_size=30),
    st.lists(st.floats(0, 40), min_size=1, max_size=10),
    st.sampled_from([0.1, 0.25, 1.0]),
)
def test_wheel_hands_out_each_item_once_never_early_and_up_to_a_tick_late(
    wanted: list[tuple[float, bool]], steps: list[float], tick: float
) -> None:
    wheel: TimerWheel[int] = TimerWheel(tick, 0.0)
    slots = {item: wheel.schedule(item, at) for item, (at, _) in enumerate(wanted)}
    for item, (_, cancelled) in enumerate(wanted):
        if cancelled:
            wheel.cancel(item, slots[item])
    waiting = {item: at for item, (at, cancelled) in enumerate(wanted) if not cancelled}
    now = 0.0
    for step in steps:
        now += step
        due = list(wheel.advance(now))
        assert len(due) == len(set(due))
        for item in due:
            assert waiting.pop(item) <= now + 1e-6
        assert all(at > now - tick - 1e-6 for at in waiting.values())
        assert len(wheel) == len(waiting)


def test_wheel_cancels_only_what_it_holds() -> None:
    wheel: TimerWheel[str] = TimerWheel(1.0, 0.0)
    slot = wheel.schedule("a", 5.0)
    wheel.cancel("b", slot)
    wheel.cancel("a", slot + 1)
    assert list(wheel.advance(5.0)) == ["a"]
    wheel.cancel("a", slot)


def test_wheel_hands_out_what_is_overdue_when_it_is_scheduled_at_the_next_call() -> None:
    wheel: TimerWheel[str] = TimerWheel(1.0, 100.0)
    wheel.schedule("late", 3.0)
    assert list(wheel.advance(100.0)) == ["late"]
