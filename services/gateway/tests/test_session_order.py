"""The order of commands, how many run at a time, and which wait for which."""

from __future__ import annotations

from warren_gateway.domain.effects import AskHistory, AskPublish, Effect, EndSubscription, StartSubscription
from warren_gateway.domain.events import Answered, RefreshAnswered, SubscribeAnswered
from warren_gateway.domain.requests import Published, Subscribed
from warren_shared.contracts.codes import Errors

from .session_driver import ALICE, Json, closed_with, connected, sent


def subscribe(number: int, channel: str) -> Json:
    return {"id": number, "subscribe": {"channel": channel}}


def unsubscribe(number: int, channel: str) -> Json:
    return {"id": number, "unsubscribe": {"channel": channel}}


def publish(number: int, channel: str) -> Json:
    return {"id": number, "publish": {"channel": channel, "data": number}}


def kinds(effects: list[Effect]) -> list[type[Effect]]:
    return [type(effect) for effect in effects]


def numbers(effects: list[Effect]) -> list[int]:
    return [reply["id"] for reply in sent(effects)]


def test_commands_of_a_frame_begin_in_order_and_side_by_side() -> None:
    effects = connected().say(publish(2, "live:a"), subscribe(3, "live:b"), publish(4, "live:c"))
    assert kinds(effects) == [AskPublish, StartSubscription, AskPublish]


def test_replies_come_as_the_answers_do() -> None:
    talk = connected()
    talk.say(publish(2, "live:a"), publish(3, "live:b"))
    assert numbers(talk.feed(Answered(3, Published()))) == [3]
    assert numbers(talk.feed(Answered(2, Published()))) == [2]


def test_command_waits_for_the_subscription_of_its_channel_and_others_do_not() -> None:
    talk = connected()
    effects = talk.say(subscribe(2, "live:a"), publish(3, "live:a"), publish(4, "live:b"))
    assert [e.id for e in effects if isinstance(e, AskPublish)] == [4]
    released = talk.feed(SubscribeAnswered("live:a", Subscribed()))
    assert numbers(released) == [2]
    assert [e.id for e in released if isinstance(e, AskPublish)] == [3]


def test_waiting_commands_go_on_when_the_subscription_fails() -> None:
    talk = connected()
    talk.say(subscribe(2, "chat:a"), {"id": 3, "history": {"channel": "chat:a"}})
    released = talk.feed(SubscribeAnswered("chat:a", Errors.INTERNAL))
    assert numbers(released) == [2]
    assert [e.id for e in released if isinstance(e, AskHistory)] == [3]


def test_subscribe_unsubscribe_subscribe_in_one_frame_ends_subscribed() -> None:
    talk = connected()
    assert kinds(
        talk.say(subscribe(2, "live:a"), unsubscribe(3, "live:a"), subscribe(4, "live:a"), publish(5, "live:a"))
    ) == [StartSubscription]
    first = talk.feed(SubscribeAnswered("live:a", Subscribed()))
    assert numbers(first) == [2, 3]
    assert [e for e in first if isinstance(e, EndSubscription | StartSubscription)] == [
        EndSubscription("live:a"),
        *[e for e in first if isinstance(e, StartSubscription)],
    ]
    assert isinstance(first[-1], StartSubscription)
    second = talk.feed(SubscribeAnswered("live:a", Subscribed()))
    assert numbers(second) == [4]
    assert kinds(second)[-1] is AskPublish


def test_second_subscribe_in_one_frame_is_told_that_it_is_the_second() -> None:
    talk = connected()
    talk.say(subscribe(2, "live:a"), subscribe(3, "live:a"))
    replies = sent(talk.feed(SubscribeAnswered("live:a", Subscribed())))
    assert replies[0] == {"id": 2, "subscribe": {}}
    assert replies[1]["error"]["code"] == 105


def test_waiting_command_may_close_the_connection() -> None:
    talk = connected()
    talk.say(subscribe(2, "live:a"), {"id": 3, "publish": {"channel": "live:a"}}, publish(4, "live:a"))
    effects = talk.feed(SubscribeAnswered("live:a", Subscribed()))
    assert closed_with(effects) == 3501
    assert EndSubscription("live:a") in effects
    assert not any(isinstance(effect, AskPublish) for effect in effects)


def test_no_more_commands_are_taken_than_may_be_in_work() -> None:
    talk = connected(command_concurrency=3)
    talk.say(subscribe(2, "live:a"), publish(3, "live:a"))
    assert talk.session.accepting
    talk.say({"id": 4, "refresh": {"token": "t"}})
    assert not talk.session.accepting
    talk.feed(RefreshAnswered(4, ALICE))
    assert talk.session.accepting
    talk.say(publish(5, "live:b"))
    assert not talk.session.accepting
    talk.feed(SubscribeAnswered("live:a", Subscribed()))
    assert talk.session.accepting
    talk.feed(Answered(3, Published()))
    talk.feed(Answered(5, Errors.INTERNAL))
    talk.say(publish(6, "live:b"), publish(7, "live:b"))
    assert talk.session.accepting


def test_commands_answered_at_once_do_not_count() -> None:
    talk = connected(command_concurrency=1)
    for number in range(2, 10):
        talk.say(unsubscribe(number, "live:a"), {"id": number, "rpc": {}}, publish(number, "nowhere:a"))
    assert talk.session.accepting
