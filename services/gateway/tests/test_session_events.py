"""What backends are told of a connection, and what clients send them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from warren_gateway.domain.effects import Effect, Send, Tell
from warren_gateway.domain.events import (
    CloseRequested,
    ConnectAnswered,
    SubscribeAnswered,
    SubscribeOrdered,
    SubscriptionEnded,
    TransportClosed,
    UnsubscribeOrdered,
)
from warren_gateway.domain.requests import ClientMessage, Subscribed
from warren_shared.contracts.auth import Admitted
from warren_shared.contracts.clients import (
    MAX_DATA_BYTES,
    ClientConnected,
    ClientDisconnected,
    ClientSubscribed,
    ClientUnsubscribed,
)
from warren_shared.contracts.codes import Disconnects, Errors, Unsubscribes

from .session_driver import ALICE, CLIENT, EVERYTHING, Talk, closed_with, connected, error_of, sent

WHO: dict[str, Any] = {"gateway": "gw-1", "client": CLIENT, "user": "alice"}
SUBSCRIBED = ClientSubscribed(**WHO, channel="tools:a")


def told(effects: list[Effect]) -> list[object]:
    return [effect.what for effect in effects if isinstance(effect, Tell)]


def unsubscribed(channel: str, code: int, reason: str) -> ClientUnsubscribed:
    return ClientUnsubscribed(**WHO, channel=channel, code=code, reason=reason)


class TestWhatClientsSendWithIt:
    """The ``data`` of a connect and a subscribe."""

    @pytest.mark.parametrize("data", ['{"app":"7.1",  "n":1.10}', "[1]", '"caf\\u00e9"', '"\\ud83d"'])
    def test_backends_are_told_it_as_it_came(self, data: str) -> None:
        talk = Talk(connection_events=True)
        talk.say(f'{{"id":1,"connect":{{"data":{data}}}}}')
        assert told(talk.feed(ConnectAnswered(ALICE, None))) == [
            ClientConnected(**WHO, info='{"name":"Alice"}', data=data)
        ]
        talk.say(f'{{"id":2,"subscribe":{{"channel":"tools:a","data":{data}}}}}')
        effects = talk.feed(SubscribeAnswered("tools:a", Subscribed()))
        assert told(effects) == [SUBSCRIBED.model_copy(update={"data": data})]

    def test_what_is_nested_too_deep_to_be_read_is_left_out(self) -> None:
        data = "[" * 3000 + "]" * 3000
        talk = Talk(connection_events=True)
        talk.say(f'{{"id":1,"connect":{{"data":{data}}}}}')
        assert told(talk.feed(ConnectAnswered(ALICE, None))) == [ClientConnected(**WHO, info='{"name":"Alice"}')]

    def test_more_than_may_be_is_refused(self) -> None:
        data = json.dumps("x" * MAX_DATA_BYTES)
        assert closed_with(Talk().say(f'{{"id":1,"connect":{{"data":{data}}}}}')) == 3501
        assert error_of(connected().say(f'{{"id":2,"subscribe":{{"channel":"live:a","data":{data}}}}}')) == 107

    def test_nobody_is_told_where_nobody_asks(self) -> None:
        talk = Talk()
        talk.say('{"id":1,"connect":{"data":{}}}')
        assert told(talk.feed(ConnectAnswered(ALICE, None))) == []


class TestConnections:
    def test_backends_are_told_before_the_client_is(self) -> None:
        effects = Talk(connection_events=True).connect()
        assert told(effects) == [ClientConnected(**WHO, info='{"name":"Alice"}')]
        assert [type(effect) for effect in effects if isinstance(effect, Tell | Send)] == [Tell, Send]
        assert sent(effects)[0]["id"] == 1

    def test_of_its_end_with_code_and_duration(self) -> None:
        talk = connected(connection_events=True)
        talk.now += 12.34567
        effects = talk.feed(CloseRequested(Disconnects.SLOW))
        assert told(effects) == [ClientDisconnected(**WHO, code=3008, reason="slow", seconds=12.346)]

    def test_of_a_client_that_went_by_itself(self) -> None:
        effects = connected(connection_events=True).feed(TransportClosed())
        assert told(effects) == [ClientDisconnected(**WHO, code=3000, reason="connection closed")]

    def test_of_an_end_once(self) -> None:
        talk = connected(connection_events=True)
        talk.feed(CloseRequested(Disconnects.SLOW))
        assert told(talk.feed(TransportClosed())) == []

    def test_of_no_client_that_was_not_let_in(self) -> None:
        talk = Talk(connection_events=True)
        talk.say({"id": 1, "connect": {}})
        assert told(talk.feed(TransportClosed())) == []

    def test_of_none_unless_that_is_wanted(self) -> None:
        talk = Talk()
        assert told(talk.connect()) == []
        assert told(talk.feed(TransportClosed())) == []


class TestSubscriptions:
    def test_of_one_that_stands(self) -> None:
        assert told(connected().subscribe("tools:a")) == [SUBSCRIBED]

    def test_of_one_that_the_server_made(self) -> None:
        talk = Talk(connection_events=True)
        admitted = Admitted(user="alice", channels=("tools:a",), grants=EVERYTHING)
        assert told(talk.connect(admitted)) == []
        effects = talk.feed(SubscribeAnswered("tools:a", Subscribed()))
        assert told(effects) == [ClientConnected(**WHO), SUBSCRIBED]

    def test_of_one_that_a_backend_ordered_and_of_its_ordered_end(self) -> None:
        talk = connected()
        talk.feed(SubscribeOrdered("tools:a"))
        assert told(talk.feed(SubscribeAnswered("tools:a", Subscribed()))) == [SUBSCRIBED]
        ended = unsubscribed("tools:a", 2000, "server unsubscribe")
        assert told(talk.feed(UnsubscribeOrdered("tools:a"))) == [ended]

    def test_of_none_that_failed_or_is_given_up(self) -> None:
        talk = connected()
        talk.say({"id": 2, "subscribe": {"channel": "tools:a"}})
        assert told(talk.feed(SubscribeAnswered("tools:a", Errors.INTERNAL))) == []
        talk.say({"id": 3, "subscribe": {"channel": "tools:a"}})
        assert told(talk.feed(TransportClosed())) == []

    def test_of_one_the_client_ended(self) -> None:
        talk = connected()
        talk.subscribe("tools:a")
        command = {"id": 3, "unsubscribe": {"channel": "tools:a"}}
        assert told(talk.say(command)) == [unsubscribed("tools:a", 0, "client unsubscribed")]
        assert told(talk.say(command)) == []

    @pytest.mark.parametrize("reason", [Unsubscribes.SERVER, Unsubscribes.INSUFFICIENT_STATE])
    def test_of_one_the_server_ended(self, reason: Any) -> None:
        talk = connected()
        talk.subscribe("tools:a")
        effects = talk.feed(SubscriptionEnded("tools:a", reason))
        assert told(effects) == [unsubscribed("tools:a", reason.code, reason.reason)]

    def test_of_those_that_end_with_their_connection_before_that(self) -> None:
        talk = connected(connection_events=True)
        talk.subscribe("tools:a")
        talk.subscribe("tools:b", number=3)
        talk.subscribe("live:c", number=4)
        assert told(talk.feed(CloseRequested(Disconnects.SHUTDOWN))) == [
            unsubscribed("tools:a", 1, "disconnected"),
            unsubscribed("tools:b", 1, "disconnected"),
            ClientDisconnected(**WHO, code=3001, reason="shutdown"),
        ]

    def test_of_a_server_side_one_that_is_lost_once(self) -> None:
        talk = Talk()
        talk.connect(Admitted(user="alice", channels=("tools:a",), grants=EVERYTHING))
        talk.feed(SubscribeAnswered("tools:a", Subscribed()))
        effects = talk.feed(SubscriptionEnded("tools:a", Unsubscribes.INSUFFICIENT_STATE))
        assert told(effects) == [unsubscribed("tools:a", 2500, "insufficient state")]
        assert closed_with(effects) == 3010

    def test_of_none_in_a_namespace_that_does_not_want_it(self) -> None:
        talk = connected()
        assert told(talk.subscribe("live:a")) == []
        assert told(talk.say({"id": 3, "unsubscribe": {"channel": "live:a"}})) == []


class TestMessages:
    def test_are_passed_on_as_they_came_and_not_answered(self) -> None:
        effects = connected(client_messages=True).say('{"send":{"data":{"a": 1.0}}}')
        assert effects == [Tell(ClientMessage(b'{"a": 1.0}', "alice", CLIENT, ALICE.info))]

    def test_without_data_bring_null(self) -> None:
        (tell,) = told(connected(client_messages=True).say({"send": {}}))
        assert isinstance(tell, ClientMessage)
        assert tell.data == b"null"

    def test_with_half_a_surrogate_pair_travel_as_they_were_written(self) -> None:
        (tell,) = told(connected(client_messages=True).say(r'{"send":{"data":"\ud83d"}}'))
        assert isinstance(tell, ClientMessage)
        assert tell.data == rb'"\ud83d"'

    def test_that_are_nested_too_deep_close_because_nothing_can_be_answered(self) -> None:
        for levels in (513, 20_000):
            frame = '{"send":{"data":%s}}' % ("[" * levels + "]" * levels)
            assert closed_with(connected(client_messages=True).say(frame)) == 3501

    def test_are_not_available_unless_switched_on(self) -> None:
        effects = connected().say({"send": {"data": 1}})
        assert (closed_with(effects), error_of(effects), told(effects)) == (3508, None, [])
