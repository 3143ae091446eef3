"""What a backend orders of one client: what comes of it, and what the client is told."""

from __future__ import annotations

import json

import pytest

from warren_gateway.domain.effects import (
    AskPublish,
    Close,
    EndSubscription,
    Identify,
    RefuseOrder,
    StartSubscription,
    WakeAt,
)
from warren_gateway.domain.events import (
    CloseRequested,
    ConnectAnswered,
    Event,
    RefreshAnswered,
    RefreshOrdered,
    SubscribeAnswered,
    SubscribeOrdered,
    SubscriptionEnded,
    TimeElapsed,
    UnsubscribeOrdered,
)
from warren_gateway.domain.requests import Subscribed
from warren_shared.contracts.auth import Admitted
from warren_shared.contracts.codes import Disconnect, Disconnects, Errors, Unsubscribes
from warren_shared.contracts.presence import Member
from warren_shared.contracts.publication import Position

from .session_driver import ALICE, CLIENT, Json, Talk, closed_with, connected, error_of, only, sent

UNSUBSCRIBED: Json = {"push": {"channel": "chat:a", "unsubscribe": {"code": 2000, "reason": "server unsubscribe"}}}


def ordered(talk: Talk, channel: str, answer: Subscribed | None = None) -> list[Json]:
    """Have a backend subscribe, the bus side answer, and return what the client is told."""
    talk.feed(SubscribeOrdered(channel))
    return sent(talk.feed(SubscribeAnswered(channel, answer or Subscribed())))


class TestIdentity:
    def test_a_client_can_be_found_by_its_user_from_auths_answer_on(self) -> None:
        talk = Talk()
        talk.say({"id": 1, "connect": {}})
        waiting = talk.feed(ConnectAnswered(Admitted(user="alice", channels=("live:a",))))
        assert waiting[0] == Identify("alice")
        assert sent(waiting) == []

    def test_it_can_be_disconnected_before_it_has_its_connect_reply(self) -> None:
        talk = Talk()
        talk.connect(Admitted(user="alice", channels=("live:a",)))
        effects = talk.feed(CloseRequested(Disconnect(4501, "blocked")))
        assert effects == [EndSubscription("live:a"), Close(Disconnect(4501, "blocked"))]


class TestUnsubscribe:
    def test_ends_a_subscription_of_the_client_and_tells_it(self) -> None:
        talk = connected()
        talk.subscribe("chat:a")
        effects = talk.feed(UnsubscribeOrdered("chat:a"))
        assert effects[0] == EndSubscription("chat:a")
        assert sent(effects) == [UNSUBSCRIBED]

    def test_ends_a_subscription_of_the_server(self) -> None:
        talk = Talk()
        talk.connect(Admitted(user="alice", channels=("chat:a",)))
        talk.feed(SubscribeAnswered("chat:a", Subscribed()))
        assert sent(talk.feed(UnsubscribeOrdered("chat:a"))) == [UNSUBSCRIBED]

    def test_does_nothing_without_a_subscription_or_a_second_time(self) -> None:
        talk = connected()
        assert talk.feed(UnsubscribeOrdered("chat:a")) == []
        talk.subscribe("chat:a")
        talk.feed(UnsubscribeOrdered("chat:a"))
        assert talk.feed(UnsubscribeOrdered("chat:a")) == []

    def test_waits_for_a_subscription_in_progress(self) -> None:
        talk = connected()
        talk.say({"id": 2, "subscribe": {"channel": "live:a"}})
        assert talk.feed(UnsubscribeOrdered("live:a")) == []
        effects = talk.feed(SubscribeAnswered("live:a", Subscribed()))
        assert [next(iter(reply)) for reply in sent(effects)] == ["id", "push"]
        assert EndSubscription("live:a") in effects

    def test_leaves_the_client_what_its_grants_allow(self) -> None:
        talk = connected()
        talk.subscribe("live:a")
        talk.feed(UnsubscribeOrdered("live:a"))
        assert sent(talk.subscribe("live:a", number=3)) == [{"id": 3, "subscribe": {}}]


class TestSubscribe:
    def test_is_made_on_the_terms_of_the_namespace_and_enters_the_user_into_presence(self) -> None:
        request = only(connected().feed(SubscribeOrdered("chat:a")), StartSubscription).request
        assert (request.recoverable, request.positioned, request.push_join_leave) == (True, True, True)
        assert request.recover_from is None
        assert request.member == Member(client=CLIENT, user="alice", conn_info='{"name":"Alice"}')

    def test_needs_no_grant_of_the_client(self) -> None:
        assert only(connected(Admitted(user="alice")).feed(SubscribeOrdered("$chat:a")), StartSubscription)

    def test_is_told_to_the_client_with_its_position(self) -> None:
        told = ordered(connected(), "chat:a", Subscribed(Position("e", 4)))
        subscribe = {"recoverable": True, "positioned": True, "epoch": "e", "offset": 4}
        assert told == [{"push": {"channel": "chat:a", "subscribe": subscribe}}]

    def test_may_bring_the_user_an_info_in_the_channel_and_the_client_data(self) -> None:
        talk = connected()
        effects = talk.feed(SubscribeOrdered("chat:a", '{"role":"host"}', b'{"topic":"rabbits"}'))
        member = only(effects, StartSubscription).request.member
        assert member == Member(client=CLIENT, user="alice", conn_info='{"name":"Alice"}', chan_info='{"role":"host"}')
        (told,) = sent(talk.feed(SubscribeAnswered("chat:a", Subscribed(Position("e", 4)))))
        assert told["push"]["subscribe"]["data"] == {"topic": "rabbits"}
        effects = talk.say({"id": 7, "publish": {"channel": "chat:a", "data": 1}})
        assert json.loads(only(effects, AskPublish).publication.info)["chan_info"] == {"role": "host"}
        talk.feed(UnsubscribeOrdered("chat:a"))
        effects = talk.say({"id": 8, "publish": {"channel": "chat:a", "data": 1}})
        assert "chan_info" not in json.loads(only(effects, AskPublish).publication.info)

    def test_with_an_info_does_not_expire(self) -> None:
        talk = connected()
        talk.feed(SubscribeOrdered("live:a", "1"))
        talk.feed(SubscribeAnswered("live:a", Subscribed()))
        talk.now += 10_000
        assert [effect for effect in talk.feed(TimeElapsed()) if isinstance(effect, EndSubscription)] == []

    def test_of_a_live_channel_is_told_without_one(self) -> None:
        assert ordered(connected(), "live:a") == [{"push": {"channel": "live:a", "subscribe": {}}}]

    def test_does_nothing_where_there_is_a_subscription(self) -> None:
        talk = connected()
        talk.subscribe("live:a")
        assert talk.feed(SubscribeOrdered("live:a")) == []

    def test_twice_at_once_makes_one(self) -> None:
        talk = connected()
        talk.feed(SubscribeOrdered("live:a"))
        assert talk.feed(SubscribeOrdered("live:a")) == []
        effects = talk.feed(SubscribeAnswered("live:a", Subscribed()))
        assert len(effects) == len(sent(effects)) == 1

    def test_comes_to_pass_when_the_clients_own_was_refused(self) -> None:
        talk = connected()
        talk.say({"id": 2, "subscribe": {"channel": "live:a"}})
        talk.feed(SubscribeOrdered("live:a"))
        effects = talk.feed(SubscribeAnswered("live:a", Errors.INTERNAL))
        assert error_of(effects) == 100
        assert only(effects, StartSubscription).request.channel == "live:a"

    def test_has_the_client_wait_that_subscribes_meanwhile(self) -> None:
        talk = connected()
        talk.feed(SubscribeOrdered("live:a"))
        assert talk.say({"id": 2, "subscribe": {"channel": "live:a"}}) == []
        assert error_of(talk.feed(SubscribeAnswered("live:a", Subscribed()))) == 105

    def test_that_fails_is_noted_and_the_client_hears_nothing(self) -> None:
        talk = connected()
        talk.feed(SubscribeOrdered("live:a"))
        assert talk.feed(SubscribeAnswered("live:a", Errors.INTERNAL)) == [RefuseOrder(Errors.INTERNAL)]
        assert only(talk.feed(SubscribeOrdered("live:a")), StartSubscription)

    @pytest.mark.parametrize(("channel", "error"), [("nowhere:a", Errors.UNKNOWN_CHANNEL), ("*", Errors.BAD_REQUEST)])
    def test_of_what_is_no_channel_is_noted(self, channel: str, error: object) -> None:
        assert connected().feed(SubscribeOrdered(channel)) == [RefuseOrder(error)]  # type: ignore[arg-type]

    def test_beyond_the_channel_limit_is_noted(self) -> None:
        talk = connected(channel_limit=1)
        talk.subscribe("live:a")
        assert talk.feed(SubscribeOrdered("live:b")) == [RefuseOrder(Errors.LIMIT_EXCEEDED)]

    def test_is_left_with_the_connection_also_while_it_is_in_progress(self) -> None:
        talk = connected()
        ordered(talk, "live:a")
        talk.feed(SubscribeOrdered("live:b"))
        effects = talk.feed(CloseRequested(Disconnects.SHUTDOWN))
        assert effects[:-1] == [EndSubscription("live:a"), EndSubscription("live:b")]

    def test_that_cannot_be_made_whole_ends_the_connection_like_one_of_the_token(self) -> None:
        talk = connected()
        ordered(talk, "chat:a")
        assert closed_with(talk.feed(SubscriptionEnded("chat:a", Unsubscribes.INSUFFICIENT_STATE))) == 3010

    def test_leaves_a_refresh_with_a_token_that_does_not_name_it_alone(self) -> None:
        talk = connected()
        ordered(talk, "live:a")
        talk.say({"id": 2, "refresh": {"token": "t"}})
        effects = talk.feed(RefreshAnswered(2, ALICE))
        assert closed_with(effects) is None
        assert talk.feed(SubscribeOrdered("live:a")) == []

    def test_grants_nothing_to_who_comes_back_and_asks_for_it(self) -> None:
        talk = Talk()
        effects = talk.connect(subs={"chat:a": {"recover": True, "epoch": "e", "offset": 3}})
        assert [each for each in effects if isinstance(each, StartSubscription)] == []
        assert "subs" not in sent(effects)[0]["connect"]


class TestRefresh:
    def test_expired_closes_the_connection_so_that_it_comes_back(self) -> None:
        assert closed_with(connected().feed(RefreshOrdered(expires=True))) == 3005

    def test_sets_when_the_connection_expires_and_tells_the_client(self) -> None:
        talk = connected(ping_interval=0.0)
        effects = talk.feed(RefreshOrdered(expires=True, ttl=60.0))
        assert sent(effects) == [{"push": {"refresh": {"expires": True, "ttl": 60}}}]
        assert only(effects, WakeAt).time == 1085.0
        talk.now = 1084.9
        assert closed_with(talk.feed(TimeElapsed())) is None
        talk.now = 1085.0
        assert closed_with(talk.feed(TimeElapsed())) == 3005

    def test_of_the_info_leaves_the_expiry_and_holds_for_what_comes(self) -> None:
        talk = Talk(ping_interval=0.0)
        talk.connect(ttl=60.0)
        assert talk.feed(RefreshOrdered(info='{"name":"A."}')) == []
        request = only(talk.say({"id": 2, "subscribe": {"channel": "chat:a"}}), StartSubscription).request
        assert request.member is not None
        assert request.member.conn_info == '{"name":"A."}'
        talk.now = 1085.0
        assert closed_with(talk.feed(TimeElapsed())) == 3005


class TestBeforeTheConnectReply:
    def waiting(self) -> Talk:
        talk = Talk(command_concurrency=3)
        talk.connect(Admitted(user="alice", channels=("live:a",)))
        return talk

    def test_orders_wait_and_are_carried_out_in_their_order_after_it(self) -> None:
        talk = self.waiting()
        for event in (UnsubscribeOrdered("live:a"), SubscribeOrdered("live:b"), RefreshOrdered(expires=True, ttl=5.0)):
            assert talk.feed(event) == []
        effects = talk.feed(SubscribeAnswered("live:a", Subscribed()))
        replies = sent(effects)
        assert "connect" in replies[0]
        assert [next(each for each in reply["push"] if each != "channel") for reply in replies[1:]] == [
            "unsubscribe",
            "refresh",
        ]
        assert only(effects, StartSubscription).request.channel == "live:b"

    def test_what_ends_the_connection_comes_last(self) -> None:
        talk = self.waiting()
        talk.feed(RefreshOrdered(expires=True))
        talk.feed(SubscribeOrdered("live:b"))
        effects = talk.feed(SubscribeAnswered("live:a", Subscribed()))
        assert effects[-1] == Close(Disconnects.EXPIRED)
        assert EndSubscription("live:a") in effects

    def test_too_many_end_it(self) -> None:
        talk = self.waiting()
        assert [closed_with(talk.feed(SubscribeOrdered("live:b"))) for _ in range(4)] == [None, None, None, 3004]


def test_too_many_orders_that_wait_for_one_subscription_end_the_connection() -> None:
    talk = connected(command_concurrency=3)
    talk.feed(SubscribeOrdered("live:b"))
    events: list[Event] = [UnsubscribeOrdered("live:b"), SubscribeOrdered("live:b")] * 2
    assert [closed_with(talk.feed(event)) for event in events[:3]] == [None, None, 3004]
