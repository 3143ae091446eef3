"""The channels that every user has of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from warren_auth.domain.admission import Admission
from warren_auth.domain.tokens import TokenVerifier
from warren_shared.contracts.auth import Admitted, ConnectRequest, GrantScope, Operation, RefreshRequest, Refused
from warren_shared.contracts.namespaces import parse_namespaces

Sign = Callable[[Mapping[str, object]], str]
NAMESPACES = parse_namespaces(
    """
    without_namespace: {personal_channel: true}
    namespaces:
      - {name: inbox, personal_channel: true, allow_history_for_subscriber: true}
      - {name: numbers, personal_channel: true, channel_regex: '^#[0-9]+$'}
      - {name: chat, allow_subscribe_for_client: true}
    """
)


@pytest.fixture
def admission(verifier: TokenVerifier) -> Admission:
    return Admission(verifier, NAMESPACES, allow_anonymous=True, max_channels=3)


def admitted(admission: Admission, token: str, now: float) -> Admitted:
    reply = admission.connect(ConnectRequest(client="c", token=token), now).reply
    assert isinstance(reply, Admitted)
    return reply


@pytest.mark.parametrize(
    ("user", "channels"),
    [
        ("42", ("#42", "inbox:#42", "numbers:#42")),
        ("ann", ("#ann", "inbox:#ann")),
        ("", ()),
        ("a,b", ()),
        ("a#b", ()),
        ("änn", ()),
        ("ann lee", ("#ann lee", "inbox:#ann lee")),
        ("a.*", ()),
        ("x" * 250, ("#" + "x" * 250,)),
    ],
)
def test_every_user_is_subscribed_to_its_own_where_a_name_can_say_whose_it_is(
    admission: Admission, sign: Sign, now: float, user: str, channels: tuple[str, ...]
) -> None:
    assert admitted(admission, sign({"sub": user}), now).channels == channels


def test_the_users_grant_is_for_its_own_channel_alone(admission: Admission, sign: Sign, now: float) -> None:
    grants = admitted(admission, sign({"sub": "42"}), now).grants
    own = {grant.target: grant.operations for grant in grants if grant.scope is GrantScope.CHANNEL}
    assert own.keys() == {"#42", "inbox:#42", "numbers:#42"}
    assert own["inbox:#42"] == {Operation.SUBSCRIBE, Operation.HISTORY_IF_SUBSCRIBED}


def test_a_token_that_names_it_as_well_has_it_once_and_the_limit_is_for_the_tokens_own(
    admission: Admission, sign: Sign, now: float
) -> None:
    token = sign({"sub": "ann", "channels": ["chat:a", "inbox:#ann", "chat:b"]})
    assert admitted(admission, token, now).channels == ("chat:a", "inbox:#ann", "chat:b", "#ann")


def test_a_refresh_keeps_them(admission: Admission, sign: Sign, now: float) -> None:
    reply = admission.refresh(RefreshRequest(client="c", user="ann", token=sign({"sub": "ann"})), now).reply
    assert isinstance(reply, Admitted)
    assert reply.channels == ("#ann", "inbox:#ann")


def test_a_channel_of_the_token_that_its_namespaces_expression_does_not_match_is_refused(
    admission: Admission, sign: Sign, now: float
) -> None:
    token = sign({"sub": "ann", "channels": ["numbers:x"]})
    reply = admission.connect(ConnectRequest(client="c", token=token), now).reply
    assert isinstance(reply, Refused)
    assert reply.code == 107
