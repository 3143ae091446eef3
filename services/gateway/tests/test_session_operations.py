"""Publish, presence, history, refresh and what is not offered."""

from __future__ import annotations

import json
from typing import Any

import pytest

from warren_gateway.domain.effects import AskHistory, AskPresence, AskPresenceStats, AskPublish, AskRefresh
from warren_gateway.domain.events import Answered, Opened, RefreshAnswered, SubscribeAnswered, TimeElapsed
from warren_gateway.domain.requests import Published, Subscribed
from warren_shared.contracts.auth import Admitted, Grant, GrantScope, Operation, RefreshRequest, Refused
from warren_shared.contracts.codes import ErrorCode, Errors
from warren_shared.contracts.history import Page, ReadRequest, StoredPublication
from warren_shared.contracts.presence import Member, Members, Stats

from .session_driver import ALICE, CLIENT, EVERYTHING, Json, Talk, closed_with, connected, error_of, only, sent

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def may(operation: Operation, target: str) -> Admitted:
    grant = Grant(scope=GrantScope.NAMESPACE, target=target, operations=frozenset({operation}))
    subscribe = Grant(scope=GrantScope.NAMESPACE, target=target, operations=frozenset({Operation.SUBSCRIBE}))
    return Admitted(user="alice", grants=(grant, subscribe))


@pytest.mark.parametrize("method", ["publish", "presence", "presence_stats", "history"])
class TestAnyOperationOnAChannel:
    def command(self, method: str, channel: str | None) -> Json:
        request: Json = {} if channel is None else {"channel": channel}
        return {"id": 2, method: request | ({"data": {}} if method == "publish" else {})}

    @pytest.mark.parametrize("channel", [None, ""])
    def test_without_channel_is_a_bad_request(self, method: str, channel: str | None) -> None:
        assert closed_with(connected().say(self.command(method, channel))) == 3501

    @pytest.mark.parametrize(
        ("channel", "code"),
        [("nowhere:a", 102), ("chat:*", 107), ("a:#", 107), ("chat:é", 107), ("chat:" + "x" * 251, 107)],
    )
    def test_on_no_channel_of_ours_is_an_error(self, method: str, channel: str, code: int) -> None:
        assert error_of(connected().say(self.command(method, channel))) == code

    def test_needs_a_grant(self, method: str) -> None:
        talk = connected(may(Operation.SUBSCRIBE, "chat"))
        assert error_of(talk.say(self.command(method, "chat:a"))) == 103

    def test_may_be_granted_to_subscribers_alone(self, method: str) -> None:
        operation = Operation(method.removesuffix("_stats") + "_if_subscribed")
        talk = connected(may(operation, "chat"))
        assert error_of(talk.say(self.command(method, "chat:a"))) == 103
        talk.subscribe("chat:a", number=3)
        assert error_of(talk.say(self.command(method, "chat:a"))) is None
        talk.say({"id": 4, "unsubscribe": {"channel": "chat:a"}})
        assert error_of(talk.say(self.command(method, "chat:a"))) == 103

    @pytest.mark.parametrize("error", [Errors.INTERNAL, ErrorCode(108, "not available")])
    def test_failure_of_the_other_service_is_the_reply(self, method: str, error: ErrorCode) -> None:
        talk = connected()
        talk.say(self.command(method, "chat:a"))
        assert error_of(talk.feed(Answered(2, error))) == error.code


class TestPublish:
    def test_hands_on_the_very_bytes_and_who_published(self) -> None:
        talk = connected()
        effects = talk.send(b'{"id":2,"publish":{"channel":"chat:a","data":{"n": 1.10, "n":2}}}')
        ask = only(effects, AskPublish)
        assert (ask.id, ask.publication.channel) == (2, "chat:a")
        assert ask.publication.data == b'{"n": 1.10, "n":2}'
        assert json.loads(ask.publication.info) == {"user": "alice", "client": CLIENT, "conn_info": {"name": "Alice"}}

    def test_gives_each_publication_its_own_message_id(self) -> None:
        talk = connected()
        publish = {"id": 2, "publish": {"channel": "live:a", "data": 1}}
        ids = {only(talk.say(publish), AskPublish).publication.message_id for _ in range(3)}
        assert len(ids) == 3

    @pytest.mark.parametrize(("channel", "durable"), [("live:a", False), ("chat:a", True)])
    def test_says_whether_the_channel_is_durable(self, channel: str, durable: bool) -> None:
        effects = connected().say({"id": 2, "publish": {"channel": channel, "data": 1}})
        assert only(effects, AskPublish).publication.durable is durable

    def test_reply_waits_for_the_confirm(self) -> None:
        talk = connected()
        assert sent(talk.say({"id": 2, "publish": {"channel": "live:a", "data": 1}})) == []
        assert sent(talk.feed(Answered(2, Published()))) == [{"id": 2, "publish": {}}]

    def test_without_data_is_a_bad_request(self) -> None:
        assert closed_with(connected().say({"id": 2, "publish": {"channel": "live:a"}})) == 3501

    def test_data_nested_too_deep_is_an_error_of_that_publish_alone(self) -> None:
        talk = connected()
        for levels in (513, 20_000):
            effects = talk.say('{"id":2,"publish":{"channel":"live:a","data":%s}}' % ("[" * levels + "]" * levels))
            assert error_of(effects) == 107
        effects = talk.say(r'{"id":3,"publish":{"channel":"live:a","data":{"cut":"\ud83d"}}}')
        assert only(effects, AskPublish).publication.data == rb'{"cut":"\ud83d"}'

    @pytest.mark.parametrize(("data", "code"), [({"a": 1}, None), ([1], 107), (1, 107), ("{}", 107), (None, 107)])
    def test_must_be_an_object_where_the_namespace_wants_one(self, data: Any, code: int | None) -> None:
        assert error_of(connected().say({"id": 2, "publish": {"channel": "objects:a", "data": data}})) == code

    def test_null_is_a_payload(self) -> None:
        effects = connected().say({"id": 2, "publish": {"channel": "live:a", "data": None}})
        assert only(effects, AskPublish).publication.data == b"null"

    def test_info_that_is_no_json_is_left_out(self) -> None:
        talk = connected(Admitted(user="alice", info="{broken", grants=EVERYTHING))
        effects = talk.say({"id": 2, "publish": {"channel": "live:a", "data": 1}})
        assert json.loads(only(effects, AskPublish).publication.info) == {"user": "alice", "client": CLIENT}


class TestTraceparent:
    @pytest.mark.parametrize(
        ("upgrade", "headers", "expected"),
        [
            (None, None, None),
            (TRACEPARENT, None, TRACEPARENT),
            (None, {"traceparent": TRACEPARENT}, TRACEPARENT),
            ("00-" + "1" * 32 + "-" + "2" * 16 + "-00", {"traceparent": TRACEPARENT}, TRACEPARENT),
            ("made up", None, None),
            (None, {"traceparent": TRACEPARENT + "\r\nx: y"}, None),
        ],
    )
    def test_is_passed_on_if_it_is_one(
        self, upgrade: str | None, headers: dict[str, str] | None, expected: str | None
    ) -> None:
        talk = Talk()
        talk.feed(Opened(upgrade))
        talk.connect(headers=headers)
        effects = talk.say({"id": 2, "publish": {"channel": "live:a", "data": 1}})
        assert only(effects, AskPublish).publication.traceparent == expected


class TestPresence:
    @pytest.mark.parametrize("method", ["presence", "presence_stats"])
    def test_is_not_available_where_none_is_kept(self, method: str) -> None:
        assert error_of(connected().say({"id": 2, method: {"channel": "live:a"}})) == 108

    def test_names_who_is_there(self) -> None:
        talk = connected()
        asked = only(talk.say({"id": 2, "presence": {"channel": "chat:a"}}), AskPresence)
        assert asked == AskPresence(2, "chat:a")
        members = Members(members=(Member(client="c", user="bob", conn_info='{"x":1}'),))
        assert sent(talk.feed(Answered(2, members))) == [
            {"id": 2, "presence": {"presence": {"c": {"user": "bob", "client": "c", "conn_info": {"x": 1}}}}}
        ]

    def test_stats_count_them(self) -> None:
        talk = connected()
        asked = only(talk.say({"id": 2, "presence_stats": {"channel": "chat:a"}}), AskPresenceStats)
        assert asked == AskPresenceStats(2, "chat:a")
        assert sent(talk.feed(Answered(2, Stats(clients=3, users=2)))) == [
            {"id": 2, "presence_stats": {"num_clients": 3, "num_users": 2}}
        ]


class TestHistory:
    def test_is_not_available_on_a_live_channel(self) -> None:
        assert error_of(connected().say({"id": 2, "history": {"channel": "live:a"}})) == 108

    @pytest.mark.parametrize(
        ("ask", "limit", "since", "reverse"),
        [
            ({}, 0, None, False),
            ({"limit": 0}, 0, None, False),
            ({"limit": 10}, 10, None, False),
            ({"limit": -1}, 300, None, False),
            ({"limit": -7}, 300, None, False),
            ({"limit": 301}, 300, None, False),
            ({"limit": 5, "since": {"offset": 9, "epoch": "e"}}, 5, 9, False),
            ({"limit": 5, "since": {"epoch": "e"}}, 5, 0, False),
            ({"limit": 5, "since": None}, 5, None, False),
            ({"limit": 5, "since": {"offset": 9}, "reverse": True}, 5, 9, True),
        ],
    )
    def test_asks_for_what_the_client_wants_within_the_limit(
        self, ask: Json, limit: int, since: int | None, reverse: bool
    ) -> None:
        effects = connected().say({"id": 2, "history": {"channel": "chat:a", **ask}})
        assert only(effects, AskHistory).request == ReadRequest(
            channel="chat:a", limit=limit, since_offset=since, reverse=reverse
        )

    @pytest.mark.parametrize("offset", [2**63, 2**64 - 1])
    def test_may_be_asked_from_any_unsigned_offset(self, offset: int) -> None:
        effects = connected().say({"id": 2, "history": {"channel": "chat:a", "since": {"offset": offset}}})
        request = only(effects, AskHistory).request
        assert ReadRequest.decode(request.encode()).since_offset == offset

    def test_offset_of_more_than_64_bits_is_a_bad_request(self) -> None:
        effects = connected().say({"id": 2, "history": {"channel": "chat:a", "since": {"offset": 2**64}}})
        assert closed_with(effects) == 3501

    def test_reply_always_tells_epoch_and_top(self) -> None:
        talk = connected()
        talk.say({"id": 2, "history": {"channel": "chat:a", "limit": 1}})
        page = Page(epoch="e", top=4, publications=(StoredPublication(offset=4, data='{"a":1}', tags={"k": "v"}),))
        assert sent(talk.feed(Answered(2, page))) == [
            {
                "id": 2,
                "history": {
                    "publications": [{"data": {"a": 1}, "offset": 4, "tags": {"k": "v"}}],
                    "epoch": "e",
                    "offset": 4,
                },
            }
        ]


class TestNotOffered:
    @pytest.mark.parametrize("command", [{"rpc": {"method": "m", "data": {}}}, {"rpc": {}}, {"ping": {}}])
    def test_rpc_and_client_pings_are_not_available(self, command: Json) -> None:
        assert error_of(connected().say({"id": 2, **command})) == 108

    @pytest.mark.parametrize("command", [{"send": {"data": {}}}, {"id": 2, "send": {}}])
    def test_send_cannot_be_answered_so_it_closes(self, command: Json) -> None:
        assert closed_with(connected().say(command)) == 3508

    @pytest.mark.parametrize(
        ("ask", "error", "close"),
        [
            ({}, None, 3501),
            ({"channel": "live:other", "token": "t"}, 103, None),
            ({"channel": "live:a", "token": "t"}, None, 3501),
        ],
    )
    def test_sub_refresh_of_what_no_token_gave(self, ask: Json, error: int | None, close: int | None) -> None:
        talk = connected()
        talk.subscribe("live:a")
        effects = talk.say({"id": 3, "sub_refresh": ask})
        assert (error_of(effects), closed_with(effects)) == (error, close)

    @pytest.mark.parametrize(
        "command", [{"publish": {"channel": "live:a", "data": 1}}, {"id": 2}, {"id": 0, "rpc": {}}]
    )
    def test_command_without_id_or_without_request_is_a_bad_request(self, command: Json) -> None:
        assert closed_with(connected().say(command)) == 3501


class TestRefresh:
    def refreshing(self, admitted: Admitted = ALICE) -> Talk:
        talk = Talk()
        talk.connect(admitted, ttl=60.0)
        effects = talk.say({"id": 2, "refresh": {"token": "new"}})
        assert only(effects, AskRefresh).request == RefreshRequest(client=CLIENT, user="alice", token="new")
        return talk

    def test_while_one_is_in_work_others_are_refused_and_auth_is_not_asked(self) -> None:
        talk = self.refreshing()
        effects = talk.say(*({"id": number, "refresh": {"token": "bad"}} for number in range(3, 6)))
        assert [(reply["id"], reply["error"]["code"]) for reply in sent(effects)] == [(3, 111), (4, 111), (5, 111)]
        assert not [effect for effect in effects if isinstance(effect, AskRefresh)]
        talk.feed(RefreshAnswered(2, Errors.INTERNAL))
        assert only(talk.say({"id": 6, "refresh": {"token": "new"}}), AskRefresh)

    def test_a_client_that_left_a_server_side_channel_is_prolonged_by_a_token_that_names_it(self) -> None:
        admitted = ALICE.model_copy(update={"channels": ("live:a", "live:b")})
        talk = Talk()
        talk.connect(admitted, ttl=60.0)
        for channel in admitted.channels:
            talk.feed(SubscribeAnswered(channel, Subscribed()))
        talk.say({"id": 2, "unsubscribe": {"channel": "live:a"}}, {"id": 3, "refresh": {"token": "new"}})
        assert "refresh" in sent(talk.feed(RefreshAnswered(3, admitted, 600)))[0]
        talk.say({"id": 4, "refresh": {"token": "newer"}})
        fewer = ALICE.model_copy(update={"channels": ("live:b",)})
        assert closed_with(talk.feed(RefreshAnswered(4, fewer, 600))) == 3010

    def test_prolongs_the_connection(self) -> None:
        talk = self.refreshing()
        effects = talk.feed(RefreshAnswered(2, ALICE, ttl=600.0))
        assert sent(effects) == [
            {"id": 2, "refresh": {"client": CLIENT, "version": "Warren 0.1.0", "expires": True, "ttl": 600}}
        ]
        talk.now += 86.0
        assert closed_with(talk.feed(TimeElapsed())) is None

    def test_by_a_token_that_never_expires_ends_expiry(self) -> None:
        talk = self.refreshing()
        assert sent(talk.feed(RefreshAnswered(2, ALICE)))[0]["refresh"] == {"client": CLIENT, "version": "Warren 0.1.0"}

    def test_brings_new_grants_and_info(self) -> None:
        talk = self.refreshing()
        talk.feed(
            RefreshAnswered(2, Admitted(user="alice", info='"new"', grants=may(Operation.PUBLISH, "live").grants))
        )
        effects = talk.say({"id": 3, "publish": {"channel": "live:a", "data": 1}})
        assert json.loads(only(effects, AskPublish).publication.info)["conn_info"] == "new"
        assert error_of(talk.say({"id": 4, "publish": {"channel": "chat:a", "data": 1}})) == 103

    @pytest.mark.parametrize(
        ("answer", "ttl", "error", "close"),
        [
            (Refused(code=3005, reason="connection expired", disconnect=True), None, None, 3005),
            (Refused(code=3500, reason="invalid token", disconnect=True), None, None, 3500),
            (Refused(code=110, reason="expired"), None, 110, None),
            (Errors.INTERNAL, None, 100, None),
            (ALICE, -1.0, None, 3005),
            (Admitted(user="alice", channels=("live:new",)), None, None, 3010),
        ],
    )
    def test_may_fail(
        self, answer: Admitted | Refused | ErrorCode, ttl: float | None, error: int | None, close: int | None
    ) -> None:
        effects = self.refreshing().feed(RefreshAnswered(2, answer, ttl))
        assert (error_of(effects), closed_with(effects)) == (error, close)

    def test_without_token_is_a_bad_request(self) -> None:
        assert closed_with(connected().say({"id": 2, "refresh": {}})) == 3501

    def test_leaves_subscriptions_alone(self) -> None:
        talk = Talk()
        talk.connect(ALICE, ttl=60.0)
        talk.subscribe("live:a", Subscribed())
        talk.say({"id": 3, "refresh": {"token": "new"}})
        assert closed_with(talk.feed(RefreshAnswered(3, ALICE, ttl=60.0))) is None
        assert error_of(talk.say({"id": 4, "subscribe": {"channel": "live:a"}})) == 105
