"""What the namespace options allow whom."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

import pytest

from warren_auth.domain.policy import Policy
from warren_shared.contracts.auth import Grant, GrantScope, Operation
from warren_shared.contracts.namespaces import NamespaceOptions, Namespaces

SUBSCRIBE, PUBLISH, PRESENCE, HISTORY = (
    Operation.SUBSCRIBE,
    Operation.PUBLISH,
    Operation.PRESENCE,
    Operation.HISTORY,
)


def granted(user: str, **options: bool) -> AbstractSet[Operation]:
    """Return the operations on ordinary channels of a namespace with these options."""
    grants = Policy(Namespaces({"chat": NamespaceOptions.model_validate(options)})).grants(user)
    assert all(grant.scope is GrantScope.NAMESPACE and grant.target == "chat" for grant in grants)
    return grants[0].operations if grants else frozenset()


@pytest.mark.parametrize("user", ["", "42"])
def test_nothing_is_allowed_by_default(user: str) -> None:
    assert Policy(Namespaces({"chat": NamespaceOptions(), "": NamespaceOptions()})).grants(user) == ()


@pytest.mark.parametrize(
    ("option", "operation"),
    [
        ("allow_subscribe_for_client", SUBSCRIBE),
        ("allow_publish_for_client", PUBLISH),
        ("allow_publish_for_subscriber", Operation.PUBLISH_IF_SUBSCRIBED),
        ("allow_presence_for_client", PRESENCE),
        ("allow_presence_for_subscriber", Operation.PRESENCE_IF_SUBSCRIBED),
        ("allow_history_for_client", HISTORY),
        ("allow_history_for_subscriber", Operation.HISTORY_IF_SUBSCRIBED),
        ("allow_rpc_for_client", Operation.RPC),
    ],
)
class TestEachOption:
    def test_gives_users_its_operation_alone(self, option: str, operation: Operation) -> None:
        assert granted("42", **{option: True}) == {operation}

    def test_gives_anonymous_users_nothing(self, option: str, operation: Operation) -> None:
        assert granted("", **{option: True}) == frozenset()
        assert operation in granted("42", **{option: True})

    def test_gives_anonymous_users_its_operation_where_widened_to_them(self, option: str, operation: Operation) -> None:
        widened = f"{option.rpartition('_for_')[0]}_for_anonymous"

        assert granted("", **{option: True, widened: True}) == {operation}
        assert granted("", **{widened: True}) == frozenset()
        assert granted("42", **{widened: True}) == frozenset()


def test_user_limited_channels_are_a_grant_of_their_own() -> None:
    options = NamespaceOptions(allow_user_limited_channels=True, allow_publish_for_subscriber=True)

    assert Policy(Namespaces({"inbox": options})).grants("42") == (
        Grant(scope=GrantScope.NAMESPACE, target="inbox", operations=frozenset({Operation.PUBLISH_IF_SUBSCRIBED})),
        Grant(
            scope=GrantScope.USER_LIMITED,
            target="inbox",
            operations=frozenset({SUBSCRIBE, Operation.PUBLISH_IF_SUBSCRIBED}),
        ),
    )


def test_no_channel_is_limited_to_the_anonymous_user() -> None:
    options = NamespaceOptions(
        allow_user_limited_channels=True, allow_subscribe_for_client=True, allow_subscribe_for_anonymous=True
    )

    scopes = {grant.scope for grant in Policy(Namespaces({"inbox": options})).grants("")}

    assert scopes == {GrantScope.NAMESPACE}


def test_channels_without_a_namespace_have_their_own_grant(namespaces: Namespaces) -> None:
    targets = {grant.target for grant in Policy(namespaces).grants("42") if grant.scope is GrantScope.NAMESPACE}

    assert targets == {"", "chat", "inbox"}


def test_a_channel_named_by_a_token_may_be_subscribed_to_and_used_as_its_namespace_says(
    namespaces: Namespaces,
) -> None:
    policy = Policy(namespaces)

    assert policy.channel_grants("42", ["closed:room", "inbox:#7"]) == (
        Grant(scope=GrantScope.CHANNEL, target="closed:room", operations=frozenset({SUBSCRIBE})),
        Grant(
            scope=GrantScope.CHANNEL,
            target="inbox:#7",
            operations=frozenset({SUBSCRIBE, Operation.HISTORY_IF_SUBSCRIBED}),
        ),
    )


def test_a_channel_named_by_an_anonymous_users_token_is_used_as_anonymous_users_may(namespaces: Namespaces) -> None:
    (grant,) = Policy(namespaces).channel_grants("", ["chat:lobby"])

    assert grant.operations == {SUBSCRIBE, HISTORY}


def test_the_number_of_grants_is_bounded_by_the_number_of_namespaces() -> None:
    everything = NamespaceOptions(
        allow_user_limited_channels=True, allow_subscribe_for_client=True, allow_publish_for_client=True
    )
    policy = Policy(Namespaces({f"ns{number}": everything for number in range(50)}))

    assert len(policy.grants("42")) == 100
    assert policy.grants("42") is policy.grants("43")


class TestInsecure:
    def test_everybody_may_do_everything_that_a_namespace_has(self) -> None:
        policy = Policy(Namespaces({"chat": NamespaceOptions(), "": NamespaceOptions()}), insecure=True)
        for user in ("", "42"):
            assert [(grant.scope, grant.target, grant.operations) for grant in policy.grants(user)] == [
                (GrantScope.NAMESPACE, "chat", frozenset(Operation)),
                (GrantScope.NAMESPACE, "", frozenset(Operation)),
            ]

    def test_channels_of_certain_users_stay_theirs(self) -> None:
        namespaces = Namespaces({"chat": NamespaceOptions(allow_user_limited_channels=True)})
        policy = Policy(namespaces, insecure=True)
        assert {grant.scope for grant in policy.grants("42")} == {GrantScope.NAMESPACE, GrantScope.USER_LIMITED}
        assert {grant.scope for grant in policy.grants("")} == {GrantScope.NAMESPACE}
