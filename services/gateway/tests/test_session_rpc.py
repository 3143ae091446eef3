"""Calls of backends: what the session lets through, and what comes back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from warren_gateway.domain.effects import AskRpc
from warren_gateway.domain.events import Answered
from warren_gateway.domain.json_encoding import JSON
from warren_gateway.domain.replies import RpcReply
from warren_gateway.domain.requests import Call, CallResult
from warren_shared.contracts.auth import Admitted, Grant, GrantScope, Operation
from warren_shared.contracts.codes import ErrorCode, Errors

from .session_driver import CLIENT, Talk, connected, error_of, only, sent


def call(talk: Talk, method: str | None, **more: Any) -> Any:
    return talk.say({"id": 2, "rpc": {"method": method, **more}})


def test_a_call_carries_the_data_as_it_came_and_who_calls() -> None:
    effects = connected().say('{"id":2,"rpc":{"method":"tools:shout","data":{"a": 1.0,"b":"\\u00e9"}}}')
    expected = Call("tools:shout", b'{"a": 1.0,"b":"\\u00e9"}', "alice", CLIENT, '{"name":"Alice"}')
    assert only(effects, AskRpc) == AskRpc(2, expected)


def test_a_call_without_data_brings_null() -> None:
    assert only(call(connected(), "tools:shout"), AskRpc).call.data == b"null"


def test_the_answer_reaches_the_client_as_it_came_but_for_line_feeds() -> None:
    talk = connected()
    call(talk, "tools:shout")
    effects = talk.feed(Answered(2, CallResult(b'{"a":\n 1.0}')))
    assert sent(effects) == [{"id": 2, "rpc": {"data": {"a": 1.0}}}]
    assert JSON.encode(RpcReply(2, CallResult(b'{"a":\n 1.0}'))) == b'{"id":2,"rpc":{"data":{"a": 1.0}}}'


@pytest.mark.parametrize("error", [ErrorCode(1000, "no such order"), ErrorCode(400, "later", temporary=True)])
def test_a_backends_error_is_the_reply(error: ErrorCode) -> None:
    talk = connected()
    call(talk, "tools:shout")
    shown = {"code": error.code, "message": error.message, **({"temporary": True} if error.temporary else {})}
    assert sent(talk.feed(Answered(2, error))) == [{"id": 2, "error": shown}]


@pytest.mark.parametrize("method", ["live:shout", "nowhere:shout", "shout", "", None])
def test_a_namespace_that_offers_no_calls_has_none_available(method: str | None) -> None:
    assert error_of(call(connected(), method)) == Errors.NOT_AVAILABLE.code


@pytest.mark.parametrize(
    "method", ["tools:*", "tools:#", "tools:a.#", "$tools:a", "tools:a b", "tools:é", "tools:a/b", "tools:" + "x" * 195]
)
def test_a_name_that_is_no_methods_is_refused(method: str) -> None:
    assert error_of(call(connected(), method)) == Errors.BAD_REQUEST.code


@pytest.mark.parametrize("method", ["tools:a.b", "tools:", "tools:A-b_c.1:d", "tools:" + "x" * 194])
def test_a_methods_name_may_be_long_and_have_words(method: str) -> None:
    assert only(call(connected(), method), AskRpc).call.method == method


def test_a_call_needs_a_grant_of_its_namespace() -> None:
    grant = Grant(scope=GrantScope.NAMESPACE, target="live", operations=frozenset(Operation))
    assert error_of(call(connected(Admitted(user="alice", grants=(grant,))), "tools:shout")) == 103


@pytest.mark.parametrize("levels", [513, 20_000])
def test_data_nested_too_deep_is_a_bad_request_and_the_connection_lives(levels: int) -> None:
    talk = connected()
    frame = '{"id":2,"rpc":{"method":"tools:a","data":%s}}' % ("[" * levels + "]" * levels)
    assert error_of(talk.say(frame)) == 107


def test_half_of_a_surrogate_pair_travels_as_it_was_written() -> None:
    effects = connected().say(r'{"id":3,"rpc":{"method":"tools:a","data":{"cut":"\ud83d"}}}')
    assert only(effects, AskRpc).call.data == rb'{"cut":"\ud83d"}'


def test_a_call_in_work_counts_as_a_command_in_work() -> None:
    talk = connected(command_concurrency=1)
    call(talk, "tools:shout")
    assert not talk.session.accepting
    talk.feed(Answered(2, CallResult(b"1")))
    assert talk.session.accepting


def test_info_and_traceparent_travel_with_a_call() -> None:
    assert json.loads(only(call(connected(), "tools:a"), AskRpc).call.info or "") == {"name": "Alice"}
