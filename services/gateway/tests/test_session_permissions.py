"""Grants: what of a namespace, of user-limited, private and single channels they open."""

from __future__ import annotations

import pytest

from warren_gateway.domain.permissions import compile_grants
from warren_shared.contracts.auth import Grant, GrantScope, Operation

PUBLISH, SUBSCRIBE = Operation.PUBLISH, Operation.SUBSCRIBE


def grant(scope: GrantScope, target: str, *operations: Operation) -> Grant:
    return Grant(scope=scope, target=target, operations=frozenset(operations))


NAMESPACE = grant(GrantScope.NAMESPACE, "chat", SUBSCRIBE)
PLAIN = grant(GrantScope.NAMESPACE, "", SUBSCRIBE)
LIMITED = grant(GrantScope.USER_LIMITED, "chat", SUBSCRIBE)
LIMITED_PLAIN = grant(GrantScope.USER_LIMITED, "", SUBSCRIBE)
ONE = grant(GrantScope.CHANNEL, "chat:$secret#bob", SUBSCRIBE)
BEFORE = grant(GrantScope.CHANNEL, "$chat:a", SUBSCRIBE)


@pytest.mark.parametrize(
    ("given", "user", "channel", "allowed"),
    [
        ((), "alice", "chat:a", False),
        ((NAMESPACE,), "alice", "chat:a", True),
        ((NAMESPACE,), "", "chat:a", True),
        ((NAMESPACE,), "alice", "chatter:a", False),
        ((NAMESPACE,), "alice", "chat", False),
        ((NAMESPACE,), "alice", "chat:$a", False),
        ((NAMESPACE,), "alice", "$chat:a", False),
        ((NAMESPACE,), "alice", "chat:a#alice", False),
        ((NAMESPACE,), "alice", "chat:a.#", True),
        ((NAMESPACE,), "alice", "chat:*", True),
        ((NAMESPACE,), "alice", "chatter:#", False),
        ((NAMESPACE,), "alice", "chat:$.#", False),
        ((LIMITED,), "alice", "chat:#", False),
        ((LIMITED,), "alice", "chat:*.#alice", False),
        ((ONE,), "alice", "chat:#", False),
        ((PLAIN,), "alice", "a.*", True),
        ((PLAIN,), "alice", "chat:*", False),
        ((grant(GrantScope.CHANNEL, "chat:a.#", SUBSCRIBE),), "alice", "chat:a.#", True),
        ((grant(GrantScope.CHANNEL, "chat:a.#", SUBSCRIBE),), "alice", "chat:a.b", False),
        ((grant(GrantScope.CHANNEL, "chat:a.#", SUBSCRIBE),), "alice", "chat:#", False),
        ((PLAIN,), "alice", "news", True),
        ((PLAIN,), "alice", "$news", False),
        ((PLAIN,), "alice", "chat:a", False),
        ((LIMITED,), "alice", "chat:a", False),
        ((LIMITED,), "alice", "chat:a#alice", True),
        ((LIMITED,), "alice", "chat:a#bob,alice", True),
        ((LIMITED,), "alice", "chat:a#bob", False),
        ((LIMITED,), "alice", "chat:a#alice#bob", False),
        ((LIMITED,), "alice", "chat:a#alicex", False),
        ((LIMITED,), "", "chat:a#", False),
        ((LIMITED,), "alice", "chat:$a#alice", False),
        ((LIMITED,), "alice", "$chat:a#alice", False),
        ((BEFORE,), "alice", "$chat:a", True),
        ((BEFORE,), "alice", "chat:$a", False),
        ((LIMITED_PLAIN,), "alice", "#alice", True),
        ((ONE,), "alice", "chat:$secret#bob", True),
        ((ONE,), "alice", "chat:$secret", False),
        ((NAMESPACE, LIMITED, ONE), "bob", "chat:b#bob", True),
    ],
)
def test_scope(given: tuple[Grant, ...], user: str, channel: str, allowed: bool) -> None:
    assert compile_grants(given).allow(SUBSCRIBE, channel, user) is allowed


@pytest.mark.parametrize("operation", [Operation.PUBLISH, Operation.PRESENCE, Operation.HISTORY])
def test_if_subscribed_holds_only_while_subscribed(operation: Operation) -> None:
    compiled = compile_grants((grant(GrantScope.NAMESPACE, "chat", Operation(f"{operation}_if_subscribed")),))
    assert compiled.allow(operation, "chat:a", "alice", subscribed=True)
    assert not compiled.allow(operation, "chat:a", "alice")


@pytest.mark.parametrize("operation", list(Operation))
@pytest.mark.parametrize("granted", list(Operation))
def test_one_operation_does_not_open_another(operation: Operation, granted: Operation) -> None:
    compiled = compile_grants((grant(GrantScope.NAMESPACE, "chat", granted),))
    assert compiled.allow(operation, "chat:a", "alice") is (operation is granted)


def test_grants_add_up() -> None:
    compiled = compile_grants((NAMESPACE, grant(GrantScope.NAMESPACE, "chat", PUBLISH)))
    assert compiled.allow(SUBSCRIBE, "chat:a", "alice")
    assert compiled.allow(PUBLISH, "chat:a", "alice")


def test_equal_grants_share_one_compilation() -> None:
    assert compile_grants((NAMESPACE, LIMITED)) is compile_grants(
        (grant(GrantScope.NAMESPACE, "chat", SUBSCRIBE), grant(GrantScope.USER_LIMITED, "chat", SUBSCRIBE))
    )
