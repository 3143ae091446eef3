"""Subscriptions by a token for one channel: what auth is asked, what its answers do, and how they end."""

from __future__ import annotations

from typing import Any

import pytest

from warren_gateway.domain.effects import (
    AskPublish,
    AskSubRefresh,
    AskSubscribe,
    Effect,
    EndSubscription,
    StartSubscription,
    WakeAt,
)
from warren_gateway.domain.events import (
    CloseRequested,
    RefreshAnswered,
    SubRefreshAnswered,
    SubscribeAnswered,
    SubscribeDecided,
    SubscriptionEnded,
    TimeElapsed,
    UnsubscribeOrdered,
)
from warren_gateway.domain.requests import Subscribed
from warren_shared.contracts.auth import (
    Admitted,
    Allowed,
    Grant,
    GrantScope,
    Operation,
    Refused,
    SubRefreshRequest,
    SubscribeRequest,
)
from warren_shared.contracts.codes import Disconnects, ErrorCode, Errors, Unsubscribes

from .session_driver import CLIENT, Talk, closed_with, connected, error_of, only, sent

NOTHING = Admitted(user="alice", info='{"name":"Alice"}')
"""Whoever has no grants has what its tokens give."""
PRIVATE = "chat:$x"
WHO: dict[str, Any] = {"client": CLIENT, "user": "alice", "channel": PRIVATE, "token": "t"}


def granting(*operations: Operation) -> Allowed:
    granted = frozenset({Operation.SUBSCRIBE, *operations})
    return Allowed(grants=(Grant(scope=GrantScope.CHANNEL, target=PRIVATE, operations=granted),))


def ask(talk: Talk, number: int = 2, **more: Any) -> list[Effect]:
    return talk.say({"id": number, "subscribe": {"channel": PRIVATE, "token": "t", **more}})


def subscribed(allowed: Allowed | None = None, ttl: float | None = None, **changes: Any) -> Talk:
    """Return a session that is subscribed to the private channel by a token."""
    talk = connected(NOTHING, ping_interval=0.0, **changes)
    ask(talk)
    talk.feed(SubscribeDecided(PRIVATE, allowed or Allowed(), ttl))
    talk.feed(SubscribeAnswered(PRIVATE, Subscribed()))
    return talk


def refreshed(talk: Talk, answer: Allowed | Refused | ErrorCode, ttl: float | None = None) -> list[Effect]:
    question = only(talk.say({"id": 3, "sub_refresh": {"channel": PRIVATE, "token": "t"}}), AskSubRefresh)
    assert question == AskSubRefresh(3, SubRefreshRequest(**WHO))
    return talk.feed(SubRefreshAnswered(3, PRIVATE, answer, ttl))


class TestSubscribing:
    def test_asks_auth_before_anything_else_and_needs_no_grant(self) -> None:
        talk = connected(NOTHING)
        assert ask(talk) == [AskSubscribe(SubscribeRequest(**WHO))]
        started = only(talk.feed(SubscribeDecided(PRIVATE, Allowed())), StartSubscription)
        assert started.request.channel == PRIVATE
        assert sent(talk.feed(SubscribeAnswered(PRIVATE, Subscribed())))[0]["id"] == 2

    def test_brings_what_the_token_says(self) -> None:
        talk = connected(NOTHING)
        ask(talk)
        allowed = Allowed(info='{"role":"host"}', data='{"hello":1}')
        started = only(talk.feed(SubscribeDecided(PRIVATE, allowed, ttl=60.9)), StartSubscription)
        assert started.request.member is not None
        member = started.request.member
        assert (member.conn_info, member.chan_info) == ('{"name":"Alice"}', allowed.info)
        (reply,) = sent(talk.feed(SubscribeAnswered(PRIVATE, Subscribed())))
        told = {name: reply["subscribe"].get(name) for name in ("expires", "ttl", "data")}
        assert told == {"expires": True, "ttl": 60, "data": {"hello": 1}}

    def test_info_and_data_that_are_no_json_are_left_out(self) -> None:
        talk = connected(NOTHING)
        ask(talk)
        started = only(talk.feed(SubscribeDecided(PRIVATE, Allowed(info="{", data="}"))), StartSubscription)
        assert started.request.member is not None
        assert started.request.member.chan_info is None
        assert "data" not in sent(talk.feed(SubscribeAnswered(PRIVATE, Subscribed())))[0]["subscribe"]

    def test_lets_other_commands_of_the_channel_wait_and_counts_as_one_in_work(self) -> None:
        talk = connected(NOTHING, command_concurrency=2)
        assert ask(talk, 2)
        assert talk.say({"id": 3, "unsubscribe": {"channel": PRIVATE}}) == []
        assert not talk.session.accepting
        talk.feed(SubscribeDecided(PRIVATE, Allowed()))
        effects = talk.feed(SubscribeAnswered(PRIVATE, Subscribed()))
        assert [reply["id"] for reply in sent(effects)] == [2, 3]
        assert EndSubscription(PRIVATE) in effects
        assert talk.session.accepting

    @pytest.mark.parametrize(
        ("answer", "ttl", "error"),
        [
            (Refused(code=103, reason="permission denied"), None, 103),
            (Refused(code=109, reason="token expired"), None, 109),
            (Errors.INTERNAL, None, 100),
            (Allowed(), 0.0, 110),
        ],
    )
    def test_that_auth_refuses_is_an_error_and_may_be_tried_again(
        self, answer: Allowed | Refused | ErrorCode, ttl: float | None, error: int
    ) -> None:
        talk = connected(NOTHING)
        ask(talk)
        assert error_of(talk.feed(SubscribeDecided(PRIVATE, answer, ttl))) == error
        assert only(ask(talk, 3), AskSubscribe)

    def test_by_a_token_of_somebody_else_closes_the_connection(self) -> None:
        talk = connected(NOTHING)
        talk.feed(SubscribeAnswered("live:a", Subscribed()))
        ask(talk)
        refused = Refused(code=3500, reason="invalid token", disconnect=True)
        assert closed_with(talk.feed(SubscribeDecided(PRIVATE, refused))) == 3500

    def test_that_fails_at_the_bus_leaves_nothing_behind(self) -> None:
        talk = connected(NOTHING)
        ask(talk)
        talk.feed(SubscribeDecided(PRIVATE, granting(Operation.PUBLISH), 60.0))
        assert error_of(talk.feed(SubscribeAnswered(PRIVATE, Errors.INTERNAL))) == 100
        talk.now += 1000
        assert EndSubscription(PRIVATE) not in talk.feed(TimeElapsed())

    def test_counts_for_the_limit_while_auth_decides(self) -> None:
        talk = connected(channel_limit=1)
        ask(talk)
        assert error_of(talk.say({"id": 3, "subscribe": {"channel": "live:a"}})) == 106

    def test_to_a_channel_whose_namespace_is_gone_meanwhile_is_an_error(self) -> None:
        talk = connected(NOTHING)
        talk.say({"id": 2, "subscribe": {"channel": PRIVATE, "token": "t"}})
        assert talk.feed(SubscribeDecided("live:other", Allowed())) == []

    def test_is_given_up_when_the_connection_ends_and_a_late_answer_does_nothing(self) -> None:
        talk = connected(NOTHING)
        ask(talk)
        talk.feed(CloseRequested(Disconnects.SHUTDOWN))
        assert talk.feed(SubscribeDecided(PRIVATE, Allowed())) == []


class TestGrants:
    def test_hold_while_subscribed_and_no_longer(self) -> None:
        talk = subscribed(granting(Operation.PUBLISH_IF_SUBSCRIBED, Operation.HISTORY))
        publish = {"publish": {"channel": PRIVATE, "data": 1}}
        assert only(talk.say({"id": 3, **publish}), AskPublish)
        talk.say({"id": 4, "unsubscribe": {"channel": PRIVATE}})
        assert error_of(talk.say({"id": 5, **publish})) == 103
        assert error_of(talk.say({"id": 6, "history": {"channel": PRIVATE}})) == 103

    def test_of_a_token_are_for_its_channel_alone(self) -> None:
        talk = subscribed(granting(Operation.PUBLISH))
        assert error_of(talk.say({"id": 3, "publish": {"channel": "chat:$y", "data": 1}})) == 103

    def test_the_info_of_the_channel_is_in_what_the_client_publishes_there(self) -> None:
        info = {"info": '{"role":"host"}'}
        talk = subscribed(granting(Operation.PUBLISH_IF_SUBSCRIBED).model_copy(update=info))
        published = only(talk.say({"id": 3, "publish": {"channel": PRIVATE, "data": 1}}), AskPublish)
        assert b'"chan_info":{"role":"host"}' in published.publication.info


class TestExpiry:
    def test_ends_the_subscription_after_the_delay_with_2501(self) -> None:
        talk = subscribed(ttl=60.0, expired_subscription_close_delay=25.0)
        talk.now += 84.9
        assert EndSubscription(PRIVATE) not in talk.feed(TimeElapsed())
        talk.now += 0.2
        effects = talk.feed(TimeElapsed())
        assert EndSubscription(PRIVATE) in effects
        (push,) = sent(effects)
        assert push["push"] == {
            "channel": PRIVATE,
            "unsubscribe": {"code": Unsubscribes.EXPIRED.code, "reason": "subscription expired"},
        }
        assert talk.feed(TimeElapsed()) == []

    def test_is_looked_at_in_time(self) -> None:
        talk = connected(NOTHING, ping_interval=0.0, expired_subscription_close_delay=25.0)
        ask(talk)
        talk.feed(SubscribeDecided(PRIVATE, Allowed(), 60.0))
        talk.now += 3
        assert WakeAt(talk.now + 85.0) in talk.feed(SubscribeAnswered(PRIVATE, Subscribed()))

    def test_there_is_none_without_an_end(self) -> None:
        talk = subscribed()
        talk.now += 1e9
        assert talk.feed(TimeElapsed()) == []

    @pytest.mark.parametrize(
        "end", [SubscriptionEnded(PRIVATE, Unsubscribes.INSUFFICIENT_STATE), UnsubscribeOrdered(PRIVATE)]
    )
    def test_of_a_subscription_that_is_over_does_nothing(self, end: SubscriptionEnded | UnsubscribeOrdered) -> None:
        talk = subscribed(ttl=1.0)
        talk.feed(end)
        talk.now += 1000
        assert talk.feed(TimeElapsed()) == []


class TestRefreshing:
    def test_prolongs_it_and_says_for_how_long(self) -> None:
        talk = subscribed(ttl=10.0, expired_subscription_close_delay=1.0)
        effects = refreshed(talk, Allowed(), ttl=100.0)
        assert sent(effects) == [{"id": 3, "sub_refresh": {"expires": True, "ttl": 100}}]
        assert WakeAt(talk.now + 101.0) in effects
        talk.now += 50
        assert EndSubscription(PRIVATE) not in talk.feed(TimeElapsed())

    def test_by_a_token_without_an_end_ends_expiry(self) -> None:
        talk = subscribed(ttl=10.0)
        assert sent(refreshed(talk, Allowed())) == [{"id": 3, "sub_refresh": {}}]
        talk.now += 1e9
        assert talk.feed(TimeElapsed()) == []

    @pytest.mark.parametrize(
        ("answer", "ttl", "error"),
        [
            (Refused(code=109, reason="token expired"), None, 109),
            (Errors.INTERNAL, None, 100),
            (Allowed(), -1.0, 110),
        ],
    )
    def test_that_fails_leaves_it_as_it_was(
        self, answer: Allowed | Refused | ErrorCode, ttl: float | None, error: int
    ) -> None:
        talk = subscribed(ttl=10.0, expired_subscription_close_delay=1.0)
        assert error_of(refreshed(talk, answer, ttl)) == error
        talk.now += 12
        assert EndSubscription(PRIVATE) in talk.feed(TimeElapsed())

    def test_by_a_token_of_somebody_else_closes_the_connection(self) -> None:
        effects = refreshed(subscribed(ttl=10.0), Refused(code=3500, reason="invalid token", disconnect=True))
        assert closed_with(effects) == 3500
        assert EndSubscription(PRIVATE) in effects

    def test_is_done_one_at_a_time(self) -> None:
        talk = subscribed(ttl=10.0)
        command = {"channel": PRIVATE, "token": "t"}
        assert only(talk.say({"id": 3, "sub_refresh": command}), AskSubRefresh)
        assert error_of(talk.say({"id": 4, "sub_refresh": command})) == 111
        talk.feed(SubRefreshAnswered(3, PRIVATE, Allowed(), 10.0))
        assert only(talk.say({"id": 5, "sub_refresh": command}), AskSubRefresh)

    def test_of_a_subscription_that_ended_and_was_made_anew_meanwhile_counts_for_neither(self) -> None:
        talk = subscribed(ttl=10.0)
        talk.say({"id": 3, "sub_refresh": {"channel": PRIVATE, "token": "t"}})
        talk.say({"id": 4, "unsubscribe": {"channel": PRIVATE}})
        ask(talk, 5)
        talk.feed(SubscribeDecided(PRIVATE, Allowed(), 10.0))
        talk.feed(SubscribeAnswered(PRIVATE, Subscribed()))
        assert error_of(talk.feed(SubRefreshAnswered(3, PRIVATE, Allowed(), 1000.0))) == 103
        talk.now += 50
        assert EndSubscription(PRIVATE) in talk.feed(TimeElapsed())

    @pytest.mark.parametrize(
        ("command", "error", "close"),
        [
            ({"channel": PRIVATE}, 107, None),
            ({"channel": "chat:$y", "token": "t"}, 103, None),
            ({"token": "t"}, None, 3501),
        ],
    )
    def test_must_name_a_subscription_and_bring_a_token(
        self, command: dict[str, Any], error: int | None, close: int | None
    ) -> None:
        effects = subscribed(ttl=10.0).say({"id": 3, "sub_refresh": command})
        assert (error_of(effects), closed_with(effects)) == (error, close)

    def test_of_the_connection_leaves_it_alone(self) -> None:
        talk = subscribed(granting(Operation.PUBLISH_IF_SUBSCRIBED), ttl=10.0)
        talk.say({"id": 3, "refresh": {"token": "t"}})
        talk.feed(RefreshAnswered(3, NOTHING, 100.0))
        assert only(talk.say({"id": 4, "publish": {"channel": PRIVATE, "data": 1}}), AskPublish)
