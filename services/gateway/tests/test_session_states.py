"""The states of a session: one row for each state and event."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from warren_gateway.domain.effects import AskConnect, Close, Effect, EndSubscription, StartSubscription, WakeAt
from warren_gateway.domain.events import (
    Answered,
    CloseRequested,
    ConnectAnswered,
    Event,
    GarbageReceived,
    RefreshAnswered,
    SubscribeAnswered,
    SubscriptionEnded,
    TimeElapsed,
    TransportClosed,
)
from warren_gateway.domain.requests import Published, Subscribed
from warren_shared.contracts.auth import Admitted, ConnectRequest, Refused
from warren_shared.contracts.codes import Disconnect, Disconnects, Errors, Unsubscribes
from warren_shared.contracts.publication import Position

from .session_driver import ALICE, CLIENT, EVERYTHING, Json, Talk, closed_with, connected, error_of, only, sent

CONNECT: Json = {"id": 1, "connect": {}}
SUBSCRIBE: Json = {"id": 2, "subscribe": {"channel": "live:a"}}
EXPIRED_TOKEN = Refused(code=109, reason="token expired")
INVALID_TOKEN = Refused(code=3500, reason="invalid token", disconnect=True)


def awaiting() -> Talk:
    return Talk()


def connecting() -> Talk:
    talk = Talk()
    talk.say(CONNECT)
    return talk


def subscribing_by_server() -> Talk:
    """Auth has admitted the client to one channel, which is not subscribed yet."""
    talk = connecting()
    talk.feed(ConnectAnswered(Admitted(user="alice", channels=("live:mine",))))
    return talk


def rejected() -> Talk:
    talk = connecting()
    talk.feed(ConnectAnswered(EXPIRED_TOKEN))
    return talk


def closed() -> Talk:
    talk = Talk()
    talk.feed(TransportClosed())
    return talk


def test_opening_sets_the_stale_deadline() -> None:
    assert Talk(stale_timeout=10.0).opened == [WakeAt(1010.0)]


def test_connect_asks_auth() -> None:
    effects = Talk().say({"id": 1, "connect": {"token": "t", "name": "js", "version": "1", "data": {"a": 1}}})
    assert only(effects, AskConnect).request == ConnectRequest(client=CLIENT, token="t", name="js", version="1")


def test_admitted_client_is_told_who_and_where_it_is() -> None:
    assert sent(Talk().connect())[0] == {
        "id": 1,
        "connect": {
            "client": CLIENT,
            "version": "Warren 0.1.0",
            "ping": 25,
            "pong": True,
            "session": "id-1",
            "node": "gw-1",
        },
    }


@pytest.mark.parametrize(
    ("command", "code"),
    [
        pytest.param(SUBSCRIBE, 3501, id="subscribe"),
        pytest.param({"id": 1, "unsubscribe": {"channel": "live:a"}}, 3501, id="unsubscribe"),
        pytest.param({"id": 1, "publish": {"channel": "live:a", "data": 1}}, 3501, id="publish"),
        pytest.param({"id": 1, "presence": {"channel": "live:a"}}, 3501, id="presence"),
        pytest.param({"id": 1, "history": {"channel": "live:a"}}, 3501, id="history"),
        pytest.param({"id": 1, "rpc": {}}, 3501, id="rpc"),
        pytest.param({"send": {}}, 3501, id="send"),
        pytest.param({"id": 1, "ping": {}}, 3501, id="ping"),
        pytest.param({"id": 1, "refresh": {"token": "t"}}, 3501, id="refresh"),
        pytest.param({}, 3501, id="pong"),
        pytest.param({"connect": {}}, 3501, id="connect without id"),
        pytest.param({"id": 1}, 3501, id="no request"),
        pytest.param("garbage", 3501, id="garbage"),
        pytest.param("", 3501, id="empty frame"),
    ],
)
def test_nothing_but_a_connect_may_come_first(command: Json | str, code: int) -> None:
    assert closed_with(Talk().say(command)) == code


@pytest.mark.parametrize(
    ("state", "event", "code"),
    [
        (awaiting, GarbageReceived(), 3501),
        (awaiting, CloseRequested(Disconnects.SHUTDOWN), 3001),
        (awaiting, TransportClosed(), None),
        (awaiting, TimeElapsed(), None),
        (awaiting, Answered(1, Published()), None),
        (connecting, ConnectAnswered(ALICE), None),
        (connecting, ConnectAnswered(INVALID_TOKEN), 3500),
        (connecting, ConnectAnswered(EXPIRED_TOKEN), None),
        (connecting, ConnectAnswered(Errors.INTERNAL), 3004),
        (connecting, ConnectAnswered(ALICE, ttl=-1.0), 3005),
        (connecting, ConnectAnswered(Admitted(channels=tuple(f"live:{n}" for n in range(129)))), 3505),
        (connecting, CloseRequested(Disconnects.SHUTDOWN), 3001),
        (connecting, TransportClosed(), None),
        (connecting, TimeElapsed(), None),
        (connecting, SubscribeAnswered("live:a", Subscribed()), None),
        (connecting, SubscriptionEnded("live:a", Unsubscribes.SERVER), None),
        (connecting, Answered(1, Published()), None),
        (connecting, GarbageReceived(), 3501),
        (subscribing_by_server, SubscribeAnswered("live:mine", Errors.INTERNAL), 3004),
        (subscribing_by_server, SubscribeAnswered("live:mine", Subscribed()), None),
        (subscribing_by_server, SubscribeAnswered("live:other", Errors.INTERNAL), None),
        (subscribing_by_server, ConnectAnswered(ALICE), None),
        (subscribing_by_server, CloseRequested(Disconnects.SLOW), 3008),
        (rejected, GarbageReceived(), 3501),
        (rejected, CloseRequested(Disconnects.SHUTDOWN), 3001),
        (rejected, TransportClosed(), None),
        (rejected, ConnectAnswered(ALICE), None),
        (connected, GarbageReceived(), 3501),
        (connected, CloseRequested(Disconnects.SLOW), 3008),
        (connected, CloseRequested(Disconnects.FORCE_RECONNECT), 3011),
        (connected, TransportClosed(), None),
        (connected, TimeElapsed(), None),
        (connected, SubscribeAnswered("live:a", Subscribed()), None),
        (connected, SubscriptionEnded("live:a", Unsubscribes.SERVER), None),
        (connected, ConnectAnswered(ALICE), None),
        (closed, GarbageReceived(), None),
        (closed, CloseRequested(Disconnects.SHUTDOWN), None),
        (closed, TimeElapsed(), None),
        (closed, ConnectAnswered(ALICE), None),
        (closed, Answered(1, Published()), None),
        (closed, RefreshAnswered(1, ALICE), None),
        (closed, SubscriptionEnded("live:a", Unsubscribes.SERVER), None),
    ],
)
def test_event_closes_the_connection_or_does_not(state: Callable[[], Talk], event: Event, code: int | None) -> None:
    assert closed_with(state().feed(event)) == code


@pytest.mark.parametrize("state", [awaiting, connecting, subscribing_by_server, rejected, connected, closed])
def test_nothing_is_done_once_the_transport_is_gone(state: Callable[[], Talk]) -> None:
    talk = state()
    talk.feed(TransportClosed())
    assert talk.session.closed
    for event in (GarbageReceived(), TimeElapsed(), TransportClosed(), CloseRequested(Disconnects.SLOW)):
        assert talk.feed(event) == []
    assert talk.say(CONNECT) == []


def test_second_connect_is_a_bad_request() -> None:
    assert closed_with(connected().say({"id": 2, "connect": {}})) == 3501


def test_auth_error_is_a_reply_after_which_any_command_is_a_bad_request() -> None:
    talk = connecting()
    assert sent(talk.feed(ConnectAnswered(EXPIRED_TOKEN))) == [
        {"id": 1, "error": {"code": 109, "message": "token expired"}}
    ]
    assert closed_with(talk.say(CONNECT)) == 3501


def test_auth_decides_code_and_reason_of_the_disconnect() -> None:
    refused = Refused(code=4501, reason="blocked", disconnect=True)
    assert connecting().feed(ConnectAnswered(refused)) == [Close(Disconnect(4501, "blocked"))]


@pytest.mark.parametrize("state", [awaiting, rejected])
def test_client_that_does_not_get_in_is_stale_after_ten_seconds(state: Callable[[], Talk]) -> None:
    talk = state()
    talk.now = 1009.9
    assert talk.feed(TimeElapsed()) == [WakeAt(1010.0)]
    talk.now = 1010.0
    assert closed_with(talk.feed(TimeElapsed())) == 3502


@pytest.mark.parametrize("state", [connecting, subscribing_by_server])
def test_connect_that_is_not_decided_in_time_may_be_tried_again(state: Callable[[], Talk]) -> None:
    talk = state()
    talk.now = 1010.0
    effects = talk.feed(TimeElapsed())
    assert closed_with(effects) == 3004
    assert Disconnects.INTERNAL.reconnect


def test_commands_wait_until_the_connect_is_decided() -> None:
    talk = awaiting()
    assert talk.session.accepting
    talk.say(CONNECT)
    assert not talk.session.accepting
    talk.feed(ConnectAnswered(ALICE))
    assert talk.session.accepting


class TestServerSideSubscriptions:
    def test_reply_waits_for_them_and_names_them(self) -> None:
        talk = Talk()
        effects = talk.connect(Admitted(user="alice", channels=("live:a", "chat:b", "live:a")))
        requests = [effect.request for effect in effects if isinstance(effect, StartSubscription)]
        assert [request.channel for request in requests] == ["live:a", "chat:b"]
        assert talk.feed(SubscribeAnswered("chat:b", Subscribed(Position("e", 7)))) == []
        assert sent(talk.feed(SubscribeAnswered("live:a", Subscribed())))[0]["connect"]["subs"] == {
            "chat:b": {"recoverable": True, "positioned": True, "epoch": "e", "offset": 7},
            "live:a": {},
        }

    def test_recover_from_where_the_client_says_it_was(self) -> None:
        talk = Talk()
        effects = talk.connect(
            Admitted(user="alice", channels=("chat:a", "live:a", "chat:b")),
            subs={"chat:a": {"recover": True, "epoch": "e", "offset": 5}, "live:a": {"recover": True, "offset": 5}},
        )
        asked = {e.request.channel: e.request.recover_from for e in effects if isinstance(e, StartSubscription)}
        assert asked == {"chat:a": Position("e", 5), "live:a": None, "chat:b": None}

    def test_of_an_unknown_namespace_or_illegal_name_fail_the_connect(self) -> None:
        assert error_of(Talk().connect(Admitted(channels=("gone:a",)))) == 102
        assert error_of(Talk().connect(Admitted(channels=("live:*",)))) == 107

    def test_are_left_when_one_fails(self) -> None:
        talk = Talk()
        talk.connect(Admitted(channels=("live:a", "live:b", "live:c")))
        talk.feed(SubscribeAnswered("live:a", Subscribed()))
        effects = talk.feed(SubscribeAnswered("live:b", Errors.INTERNAL))
        assert {e.channel for e in effects if isinstance(e, EndSubscription)} == {"live:a", "live:c"}
        assert isinstance(effects[-1], Close)

    def test_may_end_while_others_are_awaited(self) -> None:
        talk = Talk()
        talk.connect(Admitted(channels=("live:a", "live:b")))
        talk.feed(SubscribeAnswered("live:a", Subscribed()))
        assert talk.feed(SubscriptionEnded("live:a", Unsubscribes.SERVER)) == []
        assert sent(talk.feed(SubscribeAnswered("live:b", Subscribed())))[0]["connect"]["subs"] == {"live:b": {}}

    @pytest.mark.parametrize("awaited", [("live:b",), ()])
    def test_lost_without_recovery_makes_the_client_connect_anew(self, awaited: tuple[str, ...]) -> None:
        talk = Talk()
        talk.connect(Admitted(channels=("chat:a", *awaited)))
        talk.feed(SubscribeAnswered("chat:a", Subscribed(Position("e", 1))))
        assert closed_with(talk.feed(SubscriptionEnded("chat:a", Unsubscribes.INSUFFICIENT_STATE))) == 3010

    def test_count_as_subscriptions(self) -> None:
        talk = Talk()
        talk.connect(Admitted(user="alice", channels=("live:a",), grants=EVERYTHING))
        talk.feed(SubscribeAnswered("live:a", Subscribed()))
        assert error_of(talk.say({"id": 2, "subscribe": {"channel": "live:a"}})) == 105


@pytest.mark.parametrize(
    ("answer", "codes"),
    [(Refused(code=110, reason="expired", temporary=False), 110), (Refused(code=111, reason="x", temporary=True), 111)],
)
def test_refusal_without_disconnect_is_an_error_reply(answer: Refused, codes: int) -> None:
    error = sent(connecting().feed(ConnectAnswered(answer)))[0]["error"]
    assert error == {"code": codes, "message": answer.reason} | ({"temporary": True} if answer.temporary else {})


def test_every_subscription_ends_with_the_connection() -> None:
    talk = connected()
    talk.subscribe("live:a")
    talk.say({"id": 3, "subscribe": {"channel": "live:b"}})
    effects: list[Effect] = talk.feed(CloseRequested(Disconnects.SHUTDOWN))
    assert effects == [EndSubscription("live:a"), EndSubscription("live:b"), Close(Disconnects.SHUTDOWN)]
