"""Orders of backends: whom they reach, in which order, and what becomes of those that are none."""

from __future__ import annotations

import json
from typing import Any

import pytest

from warren_gateway.adapters.orders_inbox import OrdersInbox
from warren_gateway.control_metrics import readings
from warren_gateway.domain.directory import Directory
from warren_gateway.domain.events import CloseRequested, Event, RefreshOrdered, SubscribeOrdered, UnsubscribeOrdered
from warren_gateway.handlers.counts import BusCounts
from warren_gateway.handlers.dead_letters import DeadLetters
from warren_gateway.handlers.orders import MOST_WAITING, SLICE, Orders
from warren_shared.contracts.codes import Disconnect
from warren_shared.messaging.dead_letters import REASON_HEADER
from warren_shared.messaging.port import Delivery
from warren_shared.observability.tracing import Tracing

from .bus_fakes import FakeInbox, FakePublisher, ManualClock, Turns


class Person:
    """A connection that writes down what happens to it."""

    def __init__(self, client: str, user: str) -> None:
        self.client, self.user, self.session = client, user, f"session-{client}"
        self.events: list[Event] = []
        self.fails = False

    def feed(self, event: Event) -> None:
        if self.fails:
            raise RuntimeError
        self.events.append(event)


class Rig:
    def __init__(self, *people: Person, most_waiting: int = MOST_WAITING) -> None:
        self.directory: Directory[Person] = Directory()
        for person in people:
            self.directory.add(person)
            self.directory.identify(person)
        self.turns, self.clock, self.publisher = Turns(), ManualClock(), FakePublisher()
        dead_letters = DeadLetters(self.publisher, BusCounts(), per_second=50, monotonic=self.clock.monotonic)
        self.orders = Orders(
            self.directory,
            dead_letters,
            Tracing(None),
            check_channel=lambda channel: "unknown channel" if channel.startswith("nowhere") else None,
            defer=self.turns.defer,
            now=self.clock.now,
            monotonic=self.clock.monotonic,
            most_waiting=most_waiting,
        )
        self.inbox = OrdersInbox(self.orders, dead_letters, bind_deadline=1)

    def order(self, kind: str, key: str | None = None, **fields: Any) -> None:
        """Have an order arrive; it is carried out when ``turns`` run."""
        body = json.dumps({"type": f"control.{kind}", **fields}).encode()
        self.inbox.on_deliveries([Delivery("warren.control", key or f"user.{kind}", body)])

    def count(self, kind: str, outcome: str) -> float:
        return {each.labels: each.value for each in readings(self.orders.counts)}[kind, outcome]

    @property
    def reasons(self) -> list[str]:
        return [str(letter.headers[REASON_HEADER]) for letter in self.publisher.sent]


def alices(count: int) -> list[Person]:
    return [Person(f"a{number}", "alice") for number in range(count)]


async def test_the_queue_is_bound_to_what_is_meant_for_users_alone() -> None:
    queue = FakeInbox()
    await Rig().inbox.on_open(queue)
    assert queue.keys == {("warren.control", "user.#")}


def test_a_disconnect_reaches_everyone_of_the_user_except_the_whitelist() -> None:
    people, bob = alices(3), Person("b", "bob")
    rig = Rig(*people, bob)
    rig.order("disconnect", user="alice", whitelist=["a1"])
    rig.turns.run()
    closed = [CloseRequested(Disconnect(3503, "force disconnect"))]
    assert [person.events for person in people] == [closed, [], closed]
    assert bob.events == []
    assert rig.count("disconnect", "carried_out") == 1


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"code": 4501}, Disconnect(4501, "disconnect")),
        ({"code": 4501, "reason": "blocked"}, Disconnect(4501, "blocked")),
        ({"code": 3011}, Disconnect(3011, "force reconnect")),
        ({"reason": ""}, Disconnect(3503, "")),
    ],
)
def test_a_disconnect_says_what_the_backend_says_or_the_protocol_has(fields: dict[str, Any], told: Disconnect) -> None:
    (alice,) = people = alices(1)
    rig = Rig(*people)
    rig.order("disconnect", client="a0", **fields)
    rig.turns.run()
    assert alice.events == [CloseRequested(told)]


def test_one_client_and_one_session_can_be_meant() -> None:
    people = alices(3)
    rig = Rig(*people)
    rig.order("unsubscribe", client="a0", channel="live:x")
    rig.order("unsubscribe", user="alice", session="session-a2", channel="live:x")
    rig.turns.run()
    assert [len(person.events) for person in people] == [1, 0, 1]


def test_orders_become_what_happens_to_a_client() -> None:
    (alice,) = people = alices(1)
    rig = Rig(*people)
    rig.clock.time = 1000.0
    rig.order("subscribe", user="alice", channel="live:x", info={"a": 1}, data=[1])
    rig.order("unsubscribe", user="alice", channel="live:x")
    rig.order("refresh", user="alice", expired=True)
    rig.order("refresh", user="alice", expire_at=1060, info={"name": "A."})
    rig.order("refresh", user="alice", info=0)
    rig.turns.run()
    assert alice.events == [
        SubscribeOrdered("live:x", '{"a":1}', b"[1]"),
        UnsubscribeOrdered("live:x"),
        RefreshOrdered(expires=True),
        RefreshOrdered(expires=True, ttl=60.0, info='{"name":"A."}'),
        RefreshOrdered(info="0"),
    ]


def test_an_order_for_whom_nobody_knows_is_counted_and_does_nothing() -> None:
    rig = Rig(*alices(1))
    rig.order("disconnect", user="carol")
    rig.turns.run()
    assert rig.count("disconnect", "nobody") == 1
    assert rig.publisher.sent == []


def test_many_clients_are_told_a_slice_a_turn_and_the_next_order_comes_after_them_all() -> None:
    people = alices(2 * SLICE)
    rig = Rig(*people)
    rig.order("subscribe", user="alice", channel="live:x")
    rig.order("unsubscribe", user="alice", channel="live:x")
    rig.turns.turn()
    assert 0 < sum(len(person.events) for person in people) <= SLICE
    rig.turns.run()
    both: list[Event] = [SubscribeOrdered("live:x"), UnsubscribeOrdered("live:x")]
    assert all(person.events == both for person in people)


def test_one_client_that_fails_keeps_no_other_from_being_told() -> None:
    people = alices(3)
    people[1].fails = True
    rig = Rig(*people)
    rig.order("disconnect", user="alice")
    rig.order("disconnect", user="alice")
    rig.turns.run()
    assert [len(person.events) for person in people] == [2, 0, 2]


@pytest.mark.parametrize(
    ("kind", "fields", "reason"),
    [
        ("disconnect", {}, "names neither a user nor a client"),
        ("disconnect", {"user": ""}, "names neither a user nor a client"),
        ("disconnect", {"usr": "alice", "session": "session-a0"}, "names neither a user nor a client"),
        ("disconnect", {"user": "alice", "client": ""}, "empty"),
        ("disconnect", {"user": 42}, "user"),
        ("disconnect", {"user": "alice", "code": 2999}, "code"),
        ("disconnect", {"user": "alice", "code": 5000}, "code"),
        ("disconnect", {"user": "alice", "reason": "é" * 62}, "123 bytes"),
        ("disconnect", {"user": "alice", "whitelist": "a0"}, "whitelist"),
        ("disconnect", {"user": "alice", "whitelist": ["a" * 65_536]}, "larger"),
        ("unsubscribe", {"user": "alice"}, "channel"),
        ("unsubscribe", {"user": "alice", "channel": ""}, "channel"),
        ("subscribe", {"user": "alice", "channel": "nowhere:a"}, "unknown channel"),
        ("refresh", {"user": "alice", "expire_at": "soon"}, "expire_at"),
        ("explode", {"user": "alice"}, "not known"),
        ("disconnect", {"user": "alice", "v": 2}, "version"),
    ],
)
def test_what_names_nobody_or_is_not_understood_becomes_a_dead_letter_with_its_reason(
    kind: str, fields: dict[str, Any], reason: str
) -> None:
    (alice,) = people = alices(1)
    rig = Rig(*people)
    rig.order(kind, **fields)
    rig.turns.run()
    assert alice.events == []
    (told,) = rig.reasons
    assert reason in told
    assert rig.count(kind if kind != "explode" else "unknown", "rejected") == 1


def test_an_order_under_the_key_of_another_is_refused_for_its_sender_may_have_no_right_to_it() -> None:
    (alice,) = people = alices(1)
    rig = Rig(*people)
    rig.order("disconnect", "user.unsubscribe", user="alice")
    rig.turns.run()
    assert alice.events == []
    assert "user.disconnect" in rig.reasons[0]


def test_more_orders_than_may_wait_are_dropped_and_counted() -> None:
    (alice,) = people = alices(1)
    rig = Rig(*people, most_waiting=2)
    for _ in range(3):
        rig.order("disconnect", user="alice")
    assert rig.count("disconnect", "dropped") == 1
    rig.turns.run()
    assert len(alice.events) == 2
