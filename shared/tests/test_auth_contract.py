"""Grants of a newer auth: an older gateway lets the client in with what it understands, never with more."""

from __future__ import annotations

import json
from typing import Any

import pytest

from warren_shared.contracts.auth import Admitted, Grant, GrantScope, Operation
from warren_shared.contracts.envelope import ContractError

KNOWN = {"scope": "namespace", "target": "chat", "operations": ["subscribe"]}
CHAT = Grant(scope=GrantScope.NAMESPACE, target="chat", operations=frozenset({Operation.SUBSCRIBE}))


def admitted(*grants: Any) -> Admitted:
    return Admitted.decode(json.dumps({"type": "auth.admitted", "v": 1, "user": "u", "grants": grants}).encode())


@pytest.mark.parametrize(
    "unknown",
    [
        {"scope": "prefix", "target": "chat:a", "operations": ["subscribe"]},
        {"scope": "prefix", "prefixes": ["chat:a"]},
    ],
)
def test_a_grant_of_an_unknown_scope_is_left_out_and_the_others_stand(unknown: dict[str, Any]) -> None:
    assert admitted(unknown, KNOWN) == Admitted(user="u", grants=(CHAT,))


def test_an_unknown_operation_is_left_out_and_the_others_stand() -> None:
    assert admitted({**KNOWN, "operations": ["edit", "subscribe"]}).grants == (CHAT,)


def test_a_grant_of_unknown_operations_alone_allows_nothing() -> None:
    (grant,) = admitted({**KNOWN, "operations": ["edit"]}).grants

    assert grant.operations == frozenset()


@pytest.mark.parametrize(
    "malformed",
    [
        {**KNOWN, "scope": 5},
        {**KNOWN, "scope": None},
        {"target": "chat", "operations": []},
        {**KNOWN, "operations": [5]},
        {**KNOWN, "operations": "subscribe"},
        {"scope": "namespace", "operations": []},
        "namespace",
    ],
)
def test_what_no_version_would_write_is_refused(malformed: object) -> None:
    with pytest.raises(ContractError):
        admitted(malformed)


def test_equal_grants_are_written_alike_and_read_back() -> None:
    grants = (Grant(scope=GrantScope.CHANNEL, target="a", operations=frozenset(Operation)),)

    body = Admitted(grants=grants).encode()

    assert json.loads(body)["grants"][0]["operations"] == sorted(Operation)
    assert Admitted.decode(body).grants == grants
