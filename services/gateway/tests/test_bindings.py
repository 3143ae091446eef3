"""Which keys are bound: as few as needed, late to go, never missing."""

from __future__ import annotations

from typing import Final

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from warren_gateway.domain.bindings import BindingPlan
from warren_shared.contracts.channels import namespace_of, namespace_pattern, routing_key_of

GRACE: Final = 30.0


def plan(threshold: int = 3, whole: tuple[str, ...] = ()) -> BindingPlan:
    return BindingPlan(grace=GRACE, threshold=threshold, whole=whole)


def bind_all(made: BindingPlan) -> list[str]:
    """Bind what is wanted; returns the channels that are bound by it."""
    return made.bound(made.take_binds(1000))


def test_the_first_follower_waits_for_the_binding_and_the_next_does_not() -> None:
    made = plan()
    assert not made.follow("ab:1")
    assert not made.follow("ab:1")
    assert made.take_binds(10) == ["ab.1"]
    assert made.bound(["ab.1"]) == ["ab:1"]
    assert made.follow("ab:1")
    assert made.take_binds(10) == []
    assert len(made) == 1


def test_a_channel_that_nobody_needs_is_unbound_after_the_grace() -> None:
    made = plan()
    made.follow("ab:1")
    bind_all(made)
    made.release("ab:1", now=0)
    assert made.retire(GRACE - 1) == []
    assert made.take_unbinds(10) == []
    assert made.retire(GRACE) == ["ab:1"]
    assert made.take_unbinds(10) == ["ab.1"]
    made.unbound(["ab.1"])
    assert len(made) == 0


def test_a_channel_that_is_needed_again_within_the_grace_costs_nothing() -> None:
    made = plan()
    made.follow("ab:1")
    bind_all(made)
    made.release("ab:1", now=0)
    made.keep("ab:1")
    assert made.retire(GRACE) == []
    assert made.take_unbinds(10) == []


def test_a_channel_that_is_needed_again_before_its_unbinding_was_sent_stays_bound() -> None:
    made = plan()
    made.follow("ab:1")
    bind_all(made)
    made.release("ab:1", now=0)
    made.retire(GRACE)
    assert made.follow("ab:1")
    assert made.take_unbinds(10) == []


def test_a_channel_that_is_needed_again_while_it_is_unbound_is_bound_after_that() -> None:
    made = plan()
    made.follow("ab:1")
    bind_all(made)
    made.abandon("ab:1")
    assert made.take_unbinds(10) == ["ab.1"]
    assert not made.follow("ab:1")
    assert made.take_binds(10) == []
    made.unbound(["ab.1"])
    assert made.take_binds(10) == ["ab.1"]


def test_unbinding_goes_in_batches() -> None:
    made = plan(threshold=10)
    for number in range(5):
        made.follow(f"ab:{number}")
    bind_all(made)
    for number in range(5):
        made.release(f"ab:{number}", now=0)
    made.retire(GRACE)
    assert [len(made.take_unbinds(2)) for _ in range(4)] == [2, 2, 1, 0]


def test_past_the_threshold_the_namespace_is_bound_and_its_channels_are_unbound_after_that() -> None:
    made = plan(threshold=3)
    for number in range(3):
        made.follow(f"ab:{number}")
    bind_all(made)
    assert not made.follow("ab:3")
    assert made.take_unbinds(10) == []
    assert made.take_binds(10) == ["ab.#"]
    assert made.bound(["ab.#"]) == ["ab:3"]
    assert made.take_unbinds(10) == ["ab.0", "ab.1", "ab.2"]
    assert made.follow("ab:4")
    assert not made.follow("other:0")
    assert made.take_binds(10) == ["other.0"]


def test_keys_not_sent_yet_are_not_sent_once_the_namespace_is_wanted() -> None:
    made = plan(threshold=2)
    for number in range(4):
        made.follow(f"ab:{number}")
    assert made.take_binds(10) == ["ab.#"]
    assert sorted(made.bound(["ab.#"])) == ["ab:0", "ab:1", "ab:2", "ab:3"]


def test_a_namespace_of_personal_channels_is_bound_at_once_and_unbound_when_empty() -> None:
    made = plan(whole=("me",))
    assert not made.follow("me:1")
    assert made.take_binds(10) == ["me.#"]
    assert made.bound(["me.#"]) == ["me:1"]
    for number in range(1000):
        assert made.follow(f"me:{number}")
    assert len(made) == 1
    for number in range(1000):
        made.abandon(f"me:{number}")
    assert made.take_unbinds(10) == ["me.#"]


def test_after_a_reconnect_everything_followed_is_bound_anew_but_not_what_was_in_its_grace() -> None:
    made = plan(threshold=2, whole=("me",))
    for channel in ("ab:1", "ab:2", "me:1", "plain"):
        made.follow(channel)
    bind_all(made)
    made.release("ab:2", now=0)
    assert made.connection_lost() == ["ab:2"]
    assert len(made) == 0
    made.rebind()
    assert sorted(made.take_binds(10)) == ["_.plain", "ab.1", "me.#"]


def test_channels_whose_binding_failed_are_named_and_bound_when_they_are_needed_again() -> None:
    made = plan()
    made.follow("ab:1")
    assert made.failed(made.take_binds(10)) == ["ab:1"]
    assert not made.follow("ab:1")
    assert made.take_binds(10) == ["ab.1"]


def test_what_may_have_been_bound_by_a_failed_attempt_is_unbound_if_nobody_needs_it() -> None:
    made = plan()
    made.follow("ab:1")
    made.failed(made.take_binds(10))
    made.abandon("ab:1")
    assert made.take_unbinds(10) == ["ab.1"]


def test_a_namespace_that_becomes_one_of_personal_channels_is_bound_whole() -> None:
    made = plan(threshold=10)
    made.follow("ab:1")
    bind_all(made)
    made.always_whole(["ab"])
    assert made.take_binds(10) == ["ab.#"]
    assert made.bound(["ab.#"]) == ["ab:1"]  # it may have missed what came under the namespace's key
    assert made.take_unbinds(10) == ["ab.1"]


def test_a_namespaces_key_that_failed_to_be_bound_is_bound_later_though_its_channels_have_keys_of_their_own() -> None:
    made = plan(threshold=10)
    made.follow("ab:1")
    bind_all(made)
    made.always_whole(["ab"])
    assert made.failed(made.take_binds(10)) == []
    made.unbound(made.take_unbinds(10))
    assert made.take_binds(10) == ["ab.#"]
    assert made.bound(["ab.#"]) == ["ab:1"]


def whole_and_on_its_way_out() -> BindingPlan:
    """A namespace whose key is bound and waits to be unbound."""
    made = plan(threshold=2)
    for number in range(3):
        made.follow(f"ab:{number}")
    bind_all(made)
    for number in range(3):
        made.abandon(f"ab:{number}")
    return made


def test_all_who_wait_are_told_when_a_namespace_becomes_whole_again_before_its_unbinding_was_sent() -> None:
    made = whole_and_on_its_way_out()
    assert not [number for number in range(3) if made.follow(f"ab:{number}")]
    assert made.take_unbinds(10) == []
    assert made.take_binds(10) == ["ab.#"]
    assert sorted(made.bound(["ab.#"])) == ["ab:0", "ab:1", "ab:2"]


def test_a_key_that_is_to_be_bound_again_is_unbound_if_it_is_needed_no_more() -> None:
    made = whole_and_on_its_way_out()
    for number in range(3):
        made.follow(f"ab:{number}")
    for number in range(3):
        made.abandon(f"ab:{number}")
    assert made.take_binds(10) == []
    assert made.take_unbinds(10) == ["ab.#"]


def test_a_namespace_key_that_is_about_to_go_tells_nobody_that_it_is_bound() -> None:
    made = plan(threshold=2)
    for number in range(3):
        made.follow(f"ab:{number}")
    keys = made.take_binds(10)
    assert keys == ["ab.#"]
    for number in range(3):
        made.abandon(f"ab:{number}")
    assert not made.follow("ab:9")
    assert made.bound(keys) == []
    assert made.take_unbinds(10) == ["ab.#"]
    assert bind_all(made) == ["ab:9"]


CHANNELS = st.sampled_from(["ab:1", "ab:2", "ab:3", "ab:4", "me:1", "me:2", "plain", "ab:#", "ab:*.x", "me:#"])


class BindingMachine(RuleBasedStateMachine):
    """Against a broker: whoever was told that a channel is bound must receive it, until it is released."""

    @initialize()
    def begin(self) -> None:
        self.plan = plan(threshold=2, whole=("me",))
        self.now = 0.0
        self.broker: set[str] = set()
        self.binding: list[str] = []
        self.unbinding: list[str] = []
        self.needed: set[str] = set()
        self.told: set[str] = set()
        self.lingering: set[str] = set()

    @rule(channel=CHANNELS)
    def need(self, channel: str) -> None:
        self.needed.add(channel)
        self.lingering.discard(channel)
        if self.plan.follow(channel):
            self.told.add(channel)

    @precondition(lambda self: self.told)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        channel = data.draw(st.sampled_from(sorted(self.told)))
        self.told.discard(channel)
        self.needed.discard(channel)
        self.lingering.add(channel)
        self.plan.release(channel, self.now)

    @rule(seconds=st.sampled_from([1.0, GRACE]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        for channel in self.plan.retire(self.now):
            assert channel in self.lingering
            self.lingering.discard(channel)

    @precondition(lambda self: not self.binding)
    @rule(count=st.integers(1, 3))
    def send_binds(self, count: int) -> None:
        self.binding = self.plan.take_binds(count)

    @precondition(lambda self: not self.unbinding)
    @rule(count=st.integers(1, 3))
    def send_unbinds(self, count: int) -> None:
        self.unbinding = self.plan.take_unbinds(count)

    @rule(fails=st.booleans(), happens=st.booleans())
    def finish_binds(self, fails: bool, happens: bool) -> None:
        keys, self.binding = self.binding, []
        if happens or not fails:
            self.broker.update(keys)
        if not fails:
            self.told.update(channel for channel in self.plan.bound(keys) if channel in self.needed)
            return
        for channel in self.plan.failed(keys):
            if channel not in self.told:
                self.needed.discard(channel)
                self.plan.abandon(channel)

    @rule(fails=st.booleans(), happens=st.booleans())
    def finish_unbinds(self, fails: bool, happens: bool) -> None:
        keys, self.unbinding = self.unbinding, []
        if happens or not fails:
            self.broker.difference_update(keys)
        if fails:
            self.plan.failed(keys)
        else:
            self.plan.unbound(keys)

    @rule()
    def reconnect(self) -> None:
        for channel in self.plan.connection_lost():
            self.lingering.discard(channel)
        self.broker.clear()
        self.binding = self.unbinding = []
        for channel in self.needed - self.told:
            self.plan.abandon(channel)
        self.needed = set(self.told)
        self.plan.rebind()
        keys = self.plan.take_binds(1000)
        self.broker.update(keys)
        self.plan.bound(keys)

    def _received(self, channel: str) -> bool:
        return routing_key_of(channel) in self.broker or namespace_pattern(namespace_of(channel)) in self.broker

    @invariant()
    def who_was_told_receives(self) -> None:
        for channel in self.told:
            assert self._received(channel), channel

    def teardown(self) -> None:
        if not hasattr(self, "plan"):
            return
        for _ in range(20):
            self.finish_binds(fails=False, happens=True)
            self.finish_unbinds(fails=False, happens=True)
            self.send_binds(100)
            self.send_unbinds(100)
        assert self.needed == self.told
        # In the end nothing is bound that nobody needs.
        wanted = self.needed | self.lingering
        for key in self.broker:
            assert any(key in {routing_key_of(each), namespace_pattern(namespace_of(each))} for each in wanted), key


TestBindingMachine = BindingMachine.TestCase
TestBindingMachine.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
