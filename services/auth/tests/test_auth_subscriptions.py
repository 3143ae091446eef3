"""How clients are answered that bring a token for one channel."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping

import pytest

from warren_auth.domain.decisions import Decision, Outcome
from warren_auth.domain.subscription_admission import SubscriptionAdmission
from warren_auth.domain.tokens import InvalidTokenError, TokenVerifier
from warren_shared.contracts.auth import (
    Allowed,
    Grant,
    GrantScope,
    Operation,
    Refused,
    SubRefreshRequest,
    SubscribeRequest,
)
from warren_shared.contracts.namespaces import parse_namespaces

Sign = Callable[[Mapping[str, object]], str]
FOR_42 = {"sub": "42", "channel": "closed:a"}
NONE = (Outcome.INVALID_TOKEN, (103, False), (3500, True))
AWAY = ((3500, True), (3500, True))


class Asker:
    """Asks for one user and one channel."""

    def __init__(self, admission: SubscriptionAdmission, sign: Sign, now: float) -> None:
        self.admission, self._sign, self.now = admission, sign, now

    def subscribe(self, claims: Mapping[str, object] | str, *, user: str = "42", channel: str = "closed:a") -> Decision:
        token = claims if isinstance(claims, str) else self._sign(claims)
        return self.admission.subscribe(
            SubscribeRequest(client="c1", user=user, channel=channel, token=token), self.now
        )

    def refresh(self, claims: Mapping[str, object] | str) -> Decision:
        token = claims if isinstance(claims, str) else self._sign(claims)
        return self.admission.sub_refresh(
            SubRefreshRequest(client="c1", user="42", channel="closed:a", token=token), self.now
        )


@pytest.fixture
def asker(subscriptions: SubscriptionAdmission, sign: Sign, now: float) -> Asker:
    return Asker(subscriptions, sign, now)


def code_of(decision: Decision) -> tuple[int, bool]:
    assert isinstance(decision.reply, Refused)
    return decision.reply.code, decision.reply.disconnect


def test_a_token_for_the_user_and_the_channel_allows_it_with_what_it_says(asker: Asker) -> None:
    decision = asker.subscribe(FOR_42 | {"exp": asker.now + 60, "info": {"role": "host"}, "data": [1]})

    assert decision.outcome is Outcome.ALLOWED
    grant = Grant(scope=GrantScope.CHANNEL, target="closed:a", operations=frozenset({Operation.SUBSCRIBE}))
    assert decision.reply == Allowed(info='{"role":"host"}', data="[1]", expire_at=asker.now + 60, grants=(grant,))


def test_info_and_data_may_be_in_base64(asker: Asker) -> None:
    in_base64 = b64encode(b'{"a": 1}').decode()
    reply = asker.subscribe(FOR_42 | {"b64info": in_base64, "b64data": in_base64}).reply
    assert isinstance(reply, Allowed)
    assert (reply.info, reply.data) == ('{"a":1}', '{"a":1}')


def test_it_brings_what_the_namespace_gives_its_subscribers(asker: Asker) -> None:
    reply = asker.subscribe({"sub": "42", "channel": "$chat:a"}, channel="$chat:a").reply
    assert isinstance(reply, Allowed)
    ((scope, target, operations),) = [(each.scope, each.target, each.operations) for each in reply.grants]
    assert (scope, target) == (GrantScope.CHANNEL, "$chat:a")
    assert operations == {
        Operation.SUBSCRIBE,
        Operation.PUBLISH_IF_SUBSCRIBED,
        Operation.PRESENCE_IF_SUBSCRIBED,
        Operation.HISTORY,
    }


def test_an_anonymous_user_may_have_one_too(asker: Asker) -> None:
    assert asker.subscribe({"channel": "closed:a"}, user="").outcome is Outcome.ALLOWED


@pytest.mark.parametrize(
    ("more", "expires"),
    [({"exp": 60}, 60), ({"exp": 60, "expire_at": 90}, 90), ({"exp": 60, "expire_at": 0}, None), ({}, None)],
)
def test_the_subscription_ends_at_expire_at_or_else_at_exp(
    asker: Asker, more: dict[str, float], expires: float | None
) -> None:
    claims = FOR_42 | {name: asker.now + value if value else value for name, value in more.items()}
    reply = asker.subscribe(claims).reply
    assert isinstance(reply, Allowed)
    assert reply.expire_at == (None if expires is None else asker.now + expires)


@pytest.mark.parametrize(
    ("claims", "outcome", "subscribe", "refresh"),
    [
        pytest.param(FOR_42 | {"exp": 1}, Outcome.EXPIRED_TOKEN, (109, False), (109, False), id="expired"),
        pytest.param(FOR_42 | {"nbf": 9e9}, Outcome.EXPIRED_TOKEN, (109, False), (109, False), id="not valid yet"),
        pytest.param(FOR_42 | {"expire_at": 1}, Outcome.EXPIRED_SUBSCRIPTION, (110, False), (110, False), id="over"),
        pytest.param("rubbish", *NONE, id="no token"),
        pytest.param({"sub": "42"}, *NONE, id="a connection token"),
        pytest.param(FOR_42 | {"channel": 7}, *NONE, id="no channel name"),
        pytest.param(FOR_42 | {"info": [[[]]], "b64info": "%"}, *NONE, id="info"),
        pytest.param(FOR_42 | {"b64data": "e30"}, *NONE, id="data"),
        pytest.param(FOR_42 | {"sub": "43"}, Outcome.OTHER_USER, *AWAY, id="other user"),
        pytest.param({"channel": "closed:a"}, Outcome.OTHER_USER, *AWAY, id="nobody's"),
        pytest.param(FOR_42 | {"channel": "closed:b"}, Outcome.OTHER_CHANNEL, *AWAY, id="other channel"),
    ],
)
def test_a_token_that_does_not_do_is_answered_with_the_protocols_code(
    asker: Asker,
    claims: Mapping[str, object] | str,
    outcome: Outcome,
    subscribe: tuple[int, bool],
    refresh: tuple[int, bool],
) -> None:
    subscribed, refreshed = asker.subscribe(claims), asker.refresh(claims)
    assert (subscribed.outcome, refreshed.outcome) == (outcome, outcome)
    assert (code_of(subscribed), code_of(refreshed)) == (subscribe, refresh)


def test_a_refresh_gets_what_the_new_token_says(asker: Asker) -> None:
    reply = asker.refresh(FOR_42 | {"exp": asker.now + 5}).reply
    assert isinstance(reply, Allowed)
    assert reply.expire_at == asker.now + 5


def test_a_subscription_token_is_no_connection_token(verifier: TokenVerifier, sign: Sign, now: float) -> None:
    with pytest.raises(InvalidTokenError, match="it is a subscription token"):
        verifier.verify(sign(FOR_42), now)


def test_new_namespaces_decide_from_then_on(asker: Asker) -> None:
    asker.admission.use(parse_namespaces("namespaces: [{name: closed, allow_history_for_client: true}]"))
    reply = asker.subscribe(FOR_42).reply
    assert isinstance(reply, Allowed)
    assert reply.grants[0].operations == {Operation.SUBSCRIBE, Operation.HISTORY}
