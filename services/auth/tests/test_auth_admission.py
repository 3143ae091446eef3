"""How clients are answered: the codes of the client protocol, for every way a request can end."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from warren_auth.domain.admission import Admission
from warren_auth.domain.decisions import Outcome
from warren_auth.domain.policy import Policy
from warren_auth.domain.tokens import TokenVerifier
from warren_shared.contracts.auth import Admitted, ConnectRequest, GrantScope, RefreshRequest, Refused
from warren_shared.contracts.namespaces import NamespaceOptions, Namespaces

Sign = Callable[[Mapping[str, object]], str]


def connect(token: str) -> ConnectRequest:
    return ConnectRequest(client="c1", token=token)


def refresh(token: str, user: str = "42") -> RefreshRequest:
    return RefreshRequest(client="c1", user=user, token=token)


def test_a_client_with_a_token_is_admitted_with_what_it_says(
    admission: Admission, namespaces: Namespaces, sign: Sign, now: float
) -> None:
    token = sign({"sub": "42", "exp": now + 60, "info": {"name": "Ann"}, "channels": ["closed:a"]})

    decision = admission.connect(connect(token), now)

    assert decision.outcome is Outcome.ADMITTED
    assert isinstance(decision.reply, Admitted)
    assert decision.reply.model_dump(exclude={"grants"}) == {
        "user": "42",
        "info": '{"name":"Ann"}',
        "expire_at": now + 60,
        "channels": ("closed:a",),
    }
    *usual, named = decision.reply.grants
    assert tuple(usual) == Policy(namespaces).grants("42")
    assert (named.scope, named.target) == (GrantScope.CHANNEL, "closed:a")


def test_a_token_without_a_user_admits_the_anonymous_user(
    admission: Admission, namespaces: Namespaces, sign: Sign, now: float
) -> None:
    decision = admission.connect(connect(sign({})), now)

    assert decision.reply == Admitted(grants=Policy(namespaces).grants(""))


def test_a_client_without_token_is_sent_away(admission: Admission, now: float) -> None:
    decision = admission.connect(connect(""), now)

    assert decision.outcome is Outcome.NO_TOKEN
    assert decision.reply == Refused(code=3501, reason="bad request", disconnect=True, detail="client brings no token")


def test_a_client_without_token_is_anonymous_where_that_is_allowed(
    verifier: TokenVerifier, namespaces: Namespaces, now: float
) -> None:
    open_door = Admission(verifier, namespaces, allow_anonymous=True, max_channels=3)

    decision = open_door.connect(connect(""), now)

    assert decision.outcome is Outcome.ANONYMOUS
    assert decision.reply == Admitted(grants=Policy(namespaces).grants(""))


@pytest.mark.parametrize(
    ("claims", "outcome", "code", "disconnect"),
    [
        pytest.param({"exp": 1}, Outcome.EXPIRED_TOKEN, 109, False, id="expired"),
        pytest.param({"nbf": 1_800_000_000}, Outcome.EXPIRED_TOKEN, 109, False, id="not yet valid"),
        pytest.param({"exp": "1"}, Outcome.INVALID_TOKEN, 3500, True, id="unusable claim"),
        pytest.param({"channel": "chat:a"}, Outcome.INVALID_TOKEN, 3500, True, id="subscription token"),
        pytest.param({"expire_at": 1}, Outcome.EXPIRED_CONNECTION, 110, False, id="expire_at has passed"),
        pytest.param({"channels": ["nowhere:a"]}, Outcome.UNKNOWN_CHANNEL, 102, False, id="unknown namespace"),
        pytest.param({"channels": ["chat:*"]}, Outcome.ILLEGAL_CHANNEL, 107, False, id="wildcard"),
        pytest.param({"channels": ["chat:ä"]}, Outcome.ILLEGAL_CHANNEL, 107, False, id="not ASCII"),
        pytest.param({"channels": ["chat:" + "x" * 251]}, Outcome.ILLEGAL_CHANNEL, 107, False, id="too long"),
        pytest.param({"channels": [""]}, Outcome.ILLEGAL_CHANNEL, 107, False, id="empty"),
        pytest.param({"channels": list("abcd")}, Outcome.TOO_MANY_CHANNELS, 3505, True, id="too many channels"),
    ],
)
def test_a_token_that_does_not_do_is_answered_with_the_protocols_code(
    admission: Admission,
    sign: Sign,
    now: float,
    claims: Mapping[str, object],
    outcome: Outcome,
    code: int,
    disconnect: bool,
) -> None:
    decision = admission.connect(connect(sign({"sub": "42", **claims})), now)

    assert isinstance(decision.reply, Refused)
    assert (decision.outcome, decision.reply.code, decision.reply.disconnect) == (outcome, code, disconnect)


def test_the_detail_for_the_log_quotes_nothing_of_a_token(admission: Admission, sign: Sign, now: float) -> None:
    for claims in ({"exp": "confidential"}, {"channels": ["confidential:a"]}, {"channels": ["confidentiäl"]}):
        decision = admission.connect(connect(sign(claims)), now)
        assert isinstance(decision.reply, Refused)
        assert decision.reply.detail
        assert "confident" not in decision.reply.detail


def test_a_refreshed_connection_gets_what_the_new_token_says(admission: Admission, sign: Sign, now: float) -> None:
    decision = admission.refresh(refresh(sign({"sub": "42", "exp": now + 60, "info": 1})), now)

    assert decision.outcome is Outcome.ADMITTED
    assert isinstance(decision.reply, Admitted)
    assert (decision.reply.user, decision.reply.info, decision.reply.expire_at) == ("42", "1", now + 60)


@pytest.mark.parametrize(
    ("claims", "outcome", "code"),
    [
        pytest.param({"sub": "42", "exp": 1}, Outcome.EXPIRED_TOKEN, 3005, id="expired"),
        pytest.param({"sub": "42", "expire_at": 1}, Outcome.EXPIRED_CONNECTION, 3005, id="expire_at has passed"),
        pytest.param({"sub": "43"}, Outcome.OTHER_USER, 3500, id="another user"),
        pytest.param({}, Outcome.OTHER_USER, 3500, id="the anonymous user"),
        pytest.param({"sub": "42", "channel": "chat:a"}, Outcome.INVALID_TOKEN, 3500, id="subscription token"),
        pytest.param({"sub": "43", "exp": 1}, Outcome.EXPIRED_TOKEN, 3005, id="another user, expired"),
    ],
)
def test_a_refresh_that_fails_ends_the_connection(
    admission: Admission, sign: Sign, now: float, claims: Mapping[str, object], outcome: Outcome, code: int
) -> None:
    decision = admission.refresh(refresh(sign(claims)), now)

    assert isinstance(decision.reply, Refused)
    assert (decision.outcome, decision.reply.code, decision.reply.disconnect) == (outcome, code, True)


@pytest.mark.parametrize("token", ["", "nonsense"])
def test_a_refresh_without_a_token_that_can_be_read_ends_the_connection(
    admission: Admission, now: float, token: str
) -> None:
    decision = admission.refresh(refresh(token), now)

    assert isinstance(decision.reply, Refused)
    assert (decision.reply.code, decision.reply.disconnect) == (3500, True)


def test_new_namespaces_decide_from_then_on(admission: Admission, sign: Sign, now: float) -> None:
    request = connect(sign({"sub": "42", "channels": ["fresh:a"]}))
    assert admission.connect(request, now).outcome is Outcome.UNKNOWN_CHANNEL

    admission.use(Namespaces({"fresh": NamespaceOptions(allow_publish_for_client=True)}))

    decision = admission.connect(request, now)
    assert isinstance(decision.reply, Admitted)
    assert {grant.target for grant in decision.reply.grants} == {"fresh", "fresh:a"}


class TestInsecure:
    @pytest.fixture
    def insecure(self, verifier: TokenVerifier, namespaces: Namespaces) -> Admission:
        return Admission(verifier, namespaces, allow_anonymous=False, max_channels=3, insecure=True)

    def test_without_a_token_everybody_is_let_in_and_may_do_everything(
        self, insecure: Admission, namespaces: Namespaces, now: float
    ) -> None:
        decision = insecure.connect(connect(""), now)
        assert decision.reply == Admitted(grants=Policy(namespaces, insecure=True).grants(""))

    def test_nothing_expires(self, insecure: Admission, sign: Sign, now: float) -> None:
        reply = insecure.connect(connect(sign({"sub": "42", "exp": now + 5})), now).reply
        assert isinstance(reply, Admitted)
        assert (reply.user, reply.expire_at) == ("42", None)

    def test_a_token_that_is_brought_must_be_a_good_one(self, insecure: Admission, now: float) -> None:
        assert insecure.connect(connect("rubbish"), now).outcome is Outcome.INVALID_TOKEN

    def test_other_namespaces_are_as_open(self, insecure: Admission, now: float) -> None:
        insecure.use(Namespaces({"new": NamespaceOptions()}))
        reply = insecure.connect(connect(""), now).reply
        assert isinstance(reply, Admitted)
        assert [grant.target for grant in reply.grants] == ["new"]
