"""Subscribing and unsubscribing: who may, on what terms, and what the client is told."""

from __future__ import annotations

from typing import Any

import pytest

from warren_gateway.domain.effects import EndSubscription, StartSubscription
from warren_gateway.domain.events import SubscribeAnswered, SubscriptionEnded
from warren_gateway.domain.requests import Subscribe, Subscribed
from warren_gateway.domain.tags_filter import FilterNode, TagsFilter
from warren_shared.contracts.auth import Admitted, Grant, GrantScope, Operation
from warren_shared.contracts.codes import Errors, Unsubscribes
from warren_shared.contracts.presence import Member
from warren_shared.contracts.publication import Position

from .session_driver import CLIENT, Talk, closed_with, connected, error_of, only, sent

ALICE_MEMBER = Member(client=CLIENT, user="alice", conn_info='{"name":"Alice"}')


def asked(channel: str, *, grants: frozenset[Operation] = frozenset({Operation.SUBSCRIBE}), **ask: Any) -> Subscribe:
    """Return the terms under which the bus side is asked to subscribe."""
    grant = Grant(scope=GrantScope.NAMESPACE, target=channel.partition(":")[0], operations=grants)
    talk = connected(Admitted(user="alice", info='{"name":"Alice"}', grants=(grant,)))
    return only(talk.say({"id": 2, "subscribe": {"channel": channel, **ask}}), StartSubscription).request


class TestRefused:
    @pytest.mark.parametrize(
        ("channel", "code"),
        [
            ("*", 107),
            ("a:#", 107),
            ("live:#", 107),
            ("live:a.*.b", 107),
            ("café", 107),
            ("live:日本", 107),
            ("live:a b\n", 107),
            ("live:" + "x" * 251, 107),
            ("x" * 256, 107),
            ("nowhere:a", 102),
            ("live:$secret", 103),
            ("$secret", 103),
            ("$live:secret", 103),
            ("$nowhere:a", 102),
            ("$l:a", 107),
            ("live:$.secret", 107),
            ("limited:room#bob", 103),
            ("limited:#", 107),
        ],
    )
    def test_by_name(self, channel: str, code: int) -> None:
        assert error_of(connected().say({"id": 2, "subscribe": {"channel": channel}})) == code

    def test_without_namespace_where_those_are_unknown(self) -> None:
        from warren_shared.contracts.namespaces import parse_namespaces

        talk = connected(namespaces=lambda: parse_namespaces("namespaces: [{name: live}]"))
        assert error_of(talk.say({"id": 2, "subscribe": {"channel": "plain"}})) == 102

    @pytest.mark.parametrize("ask", [{}, {"channel": ""}, {"channel": "live:a", "delta": "xdelta"}])
    def test_malformed_is_a_bad_request(self, ask: dict[str, str]) -> None:
        assert closed_with(connected().say({"id": 2, "subscribe": ask})) == 3501

    def test_without_grant(self) -> None:
        talk = connected(Admitted(user="alice"))
        assert error_of(talk.say({"id": 2, "subscribe": {"channel": "live:a"}})) == 103

    def test_twice(self) -> None:
        talk = connected()
        talk.subscribe("live:a")
        assert error_of(talk.say({"id": 3, "subscribe": {"channel": "live:a"}})) == 105

    def test_over_the_limit_those_in_progress_included(self) -> None:
        talk = connected(channel_limit=2)
        talk.subscribe("live:a")
        talk.say({"id": 3, "subscribe": {"channel": "live:b"}})
        assert error_of(talk.say({"id": 4, "subscribe": {"channel": "live:c"}})) == 106

    def test_with_a_tags_filter_that_would_be_ignored(self) -> None:
        ask = {"channel": "live:a", "tf": {"key": "k", "cmp": "eq", "val": "v"}}
        assert error_of(connected().say({"id": 2, "subscribe": ask})) == 107

    def test_with_a_tags_filter_that_means_nothing(self) -> None:
        ask = {"channel": "filtered:a", "tf": {"key": "k", "cmp": "like", "val": "v"}}
        assert error_of(connected().say({"id": 2, "subscribe": ask})) == 107

    def test_with_a_tags_filter_that_is_nested_deeper_than_can_be_read(self) -> None:
        deep = '{"op":"not","nodes":[' * 5000 + "]}" * 5000
        ask = f'{{"id":2,"subscribe":{{"channel":"filtered:a","tf":{deep}}}}}'
        assert closed_with(connected().say(ask)) == 3501

    def test_by_the_bus_side(self) -> None:
        talk = connected()
        talk.say({"id": 2, "subscribe": {"channel": "live:a"}})
        effects = talk.feed(SubscribeAnswered("live:a", Errors.INTERNAL))
        assert sent(effects) == [
            {"id": 2, "error": {"code": 100, "message": "internal server error", "temporary": True}}
        ]
        assert only(talk.say({"id": 3, "subscribe": {"channel": "live:a"}}), StartSubscription)


class TestTerms:
    def test_a_tags_filter_takes_the_place_of_deltas(self) -> None:
        ask: dict[str, Any] = {
            "tf": {"op": "not", "nodes": [{"key": "k", "cmp": "in", "vals": ["v"]}]},
            "delta": "fossil",
        }
        leaf = FilterNode(key="k", cmp="in", vals=("v",))
        wanted = TagsFilter(FilterNode(op="not", nodes=(leaf,)))
        assert asked("filtered:a", **ask) == Subscribe(
            "filtered:a", recoverable=True, positioned=True, tags_filter=wanted
        )

    def test_of_a_plain_namespace(self) -> None:
        assert asked("live:a") == Subscribe("live:a")

    def test_of_a_namespace_that_forces_everything(self) -> None:
        assert asked("chat:a") == Subscribe(
            "chat:a", recoverable=True, positioned=True, push_join_leave=True, member=ALICE_MEMBER, announce=True
        )

    def test_positioning_alone(self) -> None:
        assert asked("positioned:a") == Subscribe("positioned:a", positioned=True)

    @pytest.mark.parametrize(
        ("channel", "ask", "recoverable", "positioned"),
        [
            ("asks:a", {}, False, False),
            ("asks:a", {"recoverable": True}, True, True),
            ("asks:a", {"positioned": True}, False, True),
            ("stored:a", {"recoverable": True, "positioned": True}, False, False),
            ("live:a", {"recoverable": True, "positioned": True}, False, False),
        ],
    )
    def test_recovery_is_for_those_who_ask_where_it_is_allowed(
        self, channel: str, ask: dict[str, Any], recoverable: bool, positioned: bool
    ) -> None:
        request = asked(channel, **ask)
        assert (request.recoverable, request.positioned) == (recoverable, positioned)

    def test_who_may_read_history_may_recover(self) -> None:
        grants = frozenset({Operation.SUBSCRIBE, Operation.HISTORY_IF_SUBSCRIBED})
        assert asked("stored:a", grants=grants, recoverable=True).recoverable

    def test_joins_are_for_those_who_ask_and_may_see_presence(self) -> None:
        both = frozenset({Operation.SUBSCRIBE, Operation.PRESENCE_IF_SUBSCRIBED})
        assert asked("asks:a", grants=both, join_leave=True).push_join_leave
        assert not asked("asks:a", grants=both).push_join_leave
        assert not asked("asks:a", join_leave=True).push_join_leave
        assert not asked("live:a", grants=both, join_leave=True).push_join_leave

    @pytest.mark.parametrize(
        ("channel", "ask", "position"),
        [
            ("chat:a", {"recover": True, "epoch": "e", "offset": 7}, Position("e", 7)),
            ("chat:a", {"recover": True}, Position("", 0)),
            ("chat:a", {"recover": True, "epoch": "_"}, Position("_", 0)),
            ("chat:a", {"epoch": "e", "offset": 7}, None),
            ("live:a", {"recover": True, "epoch": "e", "offset": 7}, None),
            ("positioned:a", {"recover": True, "epoch": "e", "offset": 7}, None),
        ],
    )
    def test_position_to_recover_from(self, channel: str, ask: dict[str, Any], position: Position | None) -> None:
        assert asked(channel, **ask).recover_from == position

    @pytest.mark.parametrize(
        ("ask", "position", "unasked"),
        [
            ({}, Position("", 0), True),
            ({"epoch": "e", "offset": 7}, Position("", 0), True),
            ({"recover": True}, Position("", 0), False),
            ({"recover": True, "epoch": "e", "offset": 7}, Position("e", 7), False),
        ],
    )
    def test_the_latest_is_given_unasked_where_the_namespace_says_so(
        self, ask: dict[str, Any], position: Position, unasked: bool
    ) -> None:
        request = asked("latest:a", **ask)
        assert (request.recover_from, request.unasked) == (position, unasked)

    @pytest.mark.parametrize(
        ("flag", "rejects"), [(0, False), (1, False), (2, True), (3, True), (4, False), (2**62 + 6, True), (-1, True)]
    )
    def test_of_the_flags_one_bit_alone_counts(self, flag: int, rejects: bool) -> None:
        request = asked("chat:a", recover=True, epoch="e", offset=4, flag=flag)
        assert request.reject_unrecovered is rejects
        assert request.recover_from == Position("e", 4)

    def test_compaction_offer_and_fossil_delta_are_passed_over(self) -> None:
        assert asked("live:a", flag=1, delta="fossil", data={"x": 1}) == Subscribe("live:a")

    @pytest.mark.parametrize("pattern", ["trades:#", "trades:eu.*"])
    def test_of_a_pattern_are_none_whatever_is_asked_and_the_namespace_forces(self, pattern: str) -> None:
        request = asked(pattern, recover=True, recoverable=True, positioned=True, join_leave=True, flag=2)
        assert request == Subscribe(pattern)
        reply = sent(connected().subscribe(pattern))[0]
        assert reply == {"id": 2, "subscribe": {}}

    def test_user_limited_channel_of_the_user(self) -> None:
        assert only(
            connected().say({"id": 2, "subscribe": {"channel": "limited:room#bob,alice"}}), StartSubscription
        ).request == Subscribe("limited:room#bob,alice")


class TestReply:
    def test_tells_the_position_where_there_is_one(self) -> None:
        assert sent(connected().subscribe("positioned:a", Subscribed(Position("e", 4)))) == [
            {"id": 2, "subscribe": {"positioned": True, "epoch": "e", "offset": 4}}
        ]

    def test_brings_what_was_missed(self) -> None:
        missed = Subscribed(Position("e", 4), was_recovering=True, recovered=True, publications=(b'{"data":5}',))
        assert sent(connected().subscribe("chat:a", missed, recover=True, epoch="e", offset=4))[0]["subscribe"] == {
            "recoverable": True,
            "positioned": True,
            "epoch": "e",
            "offset": 4,
            "publications": [{"data": 5}],
            "was_recovering": True,
            "recovered": True,
        }

    def test_says_that_recovery_failed(self) -> None:
        failed = Subscribed(Position("f", 9), was_recovering=True)
        (reply,) = sent(connected().subscribe("chat:a", failed, recover=True, epoch="e", offset=4))
        assert reply["subscribe"]["was_recovering"]
        assert "recovered" not in reply["subscribe"]

    def test_is_an_error_if_the_client_wanted_all_or_nothing_and_gets_nothing(self) -> None:
        talk = connected()
        talk.say({"id": 2, "subscribe": {"channel": "chat:a", "recover": True, "epoch": "e", "offset": 4, "flag": 3}})
        effects = talk.feed(SubscribeAnswered("chat:a", Errors.UNRECOVERABLE_POSITION))
        assert sent(effects) == [{"id": 2, "error": {"code": 112, "message": "unrecoverable position"}}]
        assert only(talk.say({"id": 3, "subscribe": {"channel": "chat:a"}}), StartSubscription)


class TestEnd:
    def test_by_the_client(self) -> None:
        talk = connected()
        talk.subscribe("live:a")
        effects = talk.say({"id": 3, "unsubscribe": {"channel": "live:a"}})
        assert effects[0] == EndSubscription("live:a")
        assert sent(effects) == [{"id": 3, "unsubscribe": {}}]

    @pytest.mark.parametrize("channel", ["live:never", "nowhere:a", "*", "é"])
    def test_of_what_is_not_subscribed_succeeds(self, channel: str) -> None:
        effects = connected().say({"id": 3, "unsubscribe": {"channel": channel}})
        assert sent(effects) == [{"id": 3, "unsubscribe": {}}]
        assert len(effects) == 1

    def test_without_channel_is_a_bad_request(self) -> None:
        assert closed_with(connected().say({"id": 3, "unsubscribe": {}})) == 3501

    @pytest.mark.parametrize("reason", [Unsubscribes.SERVER, Unsubscribes.INSUFFICIENT_STATE, Unsubscribes.EXPIRED])
    def test_by_the_server_is_a_push(self, reason: Any) -> None:
        talk = connected()
        talk.subscribe("chat:a", Subscribed(Position("e", 1)))
        assert sent(talk.feed(SubscriptionEnded("chat:a", reason))) == [
            {"push": {"channel": "chat:a", "unsubscribe": {"code": reason.code, "reason": reason.reason}}}
        ]
        assert only(talk.say({"id": 3, "subscribe": {"channel": "chat:a"}}), StartSubscription)

    def test_push_for_a_subscription_the_client_left_is_not_sent(self) -> None:
        talk = connected()
        talk.subscribe("live:a")
        talk.say({"id": 3, "unsubscribe": {"channel": "live:a"}})
        assert talk.feed(SubscriptionEnded("live:a", Unsubscribes.SERVER)) == []


def test_namespace_change_takes_hold_of_new_subscriptions() -> None:
    from warren_shared.contracts.namespaces import Namespaces

    from .session_driver import NAMESPACES

    in_force = [NAMESPACES]
    talk: Talk = connected(namespaces=lambda: in_force[0])
    talk.subscribe("live:a")
    in_force[0] = Namespaces({name: options for name, options in NAMESPACES.by_name.items() if name != "live"})
    assert error_of(talk.say({"id": 3, "subscribe": {"channel": "live:b"}})) == 102
