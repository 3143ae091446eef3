"""Which tokens are accepted, which are not, and what is read from them."""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from contextlib import nullcontext

import jwt
import orjson
import pytest

from warren_auth.domain.tokens import (
    ExpiredTokenError,
    InvalidTokenError,
    SecretError,
    TokenRules,
    TokenVerifier,
    check_secret,
)

Sign = Callable[[Mapping[str, object]], str]
OTHER_SECRET = "another secret, long enough for HS256"


def segment(data: object) -> str:
    return urlsafe_b64encode(orjson.dumps(data)).rstrip(b"=").decode()


def nested(depth: int) -> object:
    inner: object = 1
    for _ in range(depth):
        inner = [inner]
    return inner


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_each_hmac_algorithm_is_accepted_with_a_secret_of_32_bytes(
    verifier: TokenVerifier, secret: str, now: float, algorithm: str
) -> None:
    # PyJWT warns of short secrets with the longer hashes here, where the token is made.
    with nullcontext() if algorithm == "HS256" else pytest.warns(jwt.InsecureKeyLengthWarning):
        token = jwt.encode({"sub": "42"}, secret, algorithm)

    assert verifier.verify(token, now).user == "42"


def test_an_algorithm_that_is_not_on_the_list_is_refused(secret: str, sign: Sign, now: float) -> None:
    strict = TokenVerifier([secret], TokenRules(algorithms=("HS512",)))

    with pytest.raises(InvalidTokenError, match="algorithm is not accepted"):
        strict.verify(sign({"sub": "42"}), now)


@pytest.mark.parametrize("algorithm", ["none", "None", "RS256", "ES256", "PS512", "EdDSA", "HS1", "", None, [], {}, 1])
def test_a_header_with_any_other_algorithm_is_refused_even_with_a_right_hmac(
    verifier: TokenVerifier, secret: str, now: float, algorithm: object
) -> None:
    signed = f"{segment({'alg': algorithm, 'typ': 'JWT'})}.{segment({'sub': 'admin'})}"
    hs256 = verifier._jws.get_algorithm_by_name("HS256")
    signature = urlsafe_b64encode(hs256.sign(signed.encode(), secret.encode())).rstrip(b"=").decode()

    for token in (f"{signed}.", f"{signed}.{signature}"):
        with pytest.raises(InvalidTokenError):
            verifier.verify(token, now)


def test_a_token_of_another_secret_is_refused(verifier: TokenVerifier, now: float) -> None:
    with pytest.raises(InvalidTokenError, match="signature does not match"):
        verifier.verify(jwt.encode({"sub": "42"}, OTHER_SECRET), now)


def test_the_previous_secret_is_accepted_while_secrets_rotate(secret: str, now: float) -> None:
    rotating = TokenVerifier([secret, OTHER_SECRET], TokenRules())

    assert rotating.verify(jwt.encode({"sub": "42"}, OTHER_SECRET), now).user == "42"


def test_a_changed_payload_is_refused(verifier: TokenVerifier, sign: Sign, now: float) -> None:
    header, _, signature = sign({"sub": "42"}).split(".")

    with pytest.raises(InvalidTokenError, match="signature does not match"):
        verifier.verify(f"{header}.{segment({'sub': 'admin'})}.{signature}", now)


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param({"channel": "chat:1"}, id="subscription token"),
        pytest.param({"channel": None}, id="subscription token without a channel"),
        pytest.param({"sub": 42}, id="sub is no string"),
        pytest.param({"sub": "x" * 256}, id="sub is too long"),
        pytest.param({"exp": "1900000000"}, id="exp is a string"),
        pytest.param({"exp": True}, id="exp is a boolean"),
        pytest.param({"nbf": []}, id="nbf is a list"),
        pytest.param({"iat": "now"}, id="iat is a string"),
        pytest.param({"jti": 5}, id="jti is a number"),
        pytest.param({"iss": ["a"]}, id="iss is a list"),
        pytest.param({"aud": 7}, id="aud is a number"),
        pytest.param({"aud": ["a", 7]}, id="aud holds a number"),
        pytest.param({"channels": "chat:1"}, id="channels is a string"),
        pytest.param({"channels": [1]}, id="channels holds a number"),
        pytest.param({"subs": ["chat:1"]}, id="subs is a list"),
        pytest.param({"subs": {"chat:1": True}}, id="subs holds no object"),
        pytest.param({"subs": {"chat:1": {}, "chat:2": {"info": {}}}}, id="subs has options"),
        pytest.param({"expire_at": "never"}, id="expire_at is a string"),
        pytest.param({"b64info": "%%%"}, id="b64info is no base64"),
        pytest.param({"b64info": b64encode(b"{").decode()}, id="b64info is no JSON"),
        pytest.param({"info": nested(33)}, id="info is nested too deep"),
    ],
)
def test_unusable_claims_make_a_token_invalid(
    verifier: TokenVerifier, sign: Sign, now: float, claims: Mapping[str, object]
) -> None:
    with pytest.raises(InvalidTokenError):
        verifier.verify(sign(claims), now)


@pytest.mark.parametrize("payload", [b"", b"[]", b"null", b"{", b'{"sub":"\xff"}', b'{"exp":1e999}', b"[" * 5000])
def test_a_signed_payload_that_is_no_json_object_is_invalid(
    verifier: TokenVerifier, secret: str, now: float, payload: bytes
) -> None:
    with pytest.raises(InvalidTokenError):
        verifier.verify(jwt.PyJWS().encode(payload, secret, "HS256"), now)


@pytest.mark.parametrize(
    "token",
    [
        pytest.param("", id="empty"),
        pytest.param("..", id="dots"),
        pytest.param("a.b", id="two parts"),
        pytest.param("\ud800.\ud800.\ud800", id="lone surrogates"),
        pytest.param("é.é.é", id="not ASCII"),
        pytest.param(f"{segment([1])}.{segment({})}.", id="header is a list"),
        pytest.param(f"{segment({'alg': 'HS256', 'crit': ['exp']})}.{segment({})}.AA", id="critical extension"),
        pytest.param(f"{segment({'alg': 'HS256', 'b64': False, 'crit': ['b64']})}..AA", id="detached payload"),
        pytest.param(f"{segment({'alg': 'HS256', 'kid': 1})}.{segment({})}.AA", id="kid is a number"),
        pytest.param(f"{segment({'typ': 'JWT'})}.{segment({})}.AA", id="no algorithm"),
        pytest.param(urlsafe_b64encode(b"[" * 9000).rstrip(b"=").decode() + ".e30.AA", id="deep header"),
    ],
)
def test_what_is_no_token_is_invalid(verifier: TokenVerifier, now: float, token: str) -> None:
    with pytest.raises(InvalidTokenError):
        verifier.verify(token, now)


def test_a_token_over_the_size_limit_is_refused_unread(secret: str, sign: Sign, now: float) -> None:
    small = TokenVerifier([secret], TokenRules(max_bytes=300))

    assert small.verify(sign({"sub": "42"}), now).user == "42"
    with pytest.raises(InvalidTokenError, match="longer than 300 bytes"):
        small.verify(sign({"sub": "42", "info": "x" * 300}), now)


def test_a_token_ends_at_exp(verifier: TokenVerifier, sign: Sign, now: float) -> None:
    token = sign({"sub": "42", "exp": now})

    assert verifier.verify(token, now - 0.001).expires == now
    with pytest.raises(ExpiredTokenError):
        verifier.verify(token, now)


def test_a_token_that_is_not_valid_yet_counts_as_expired(verifier: TokenVerifier, sign: Sign, now: float) -> None:
    token = sign({"sub": "42", "nbf": now + 1})

    with pytest.raises(ExpiredTokenError):
        verifier.verify(token, now)
    assert verifier.verify(token, now + 1).user == "42"


def test_an_expired_token_of_another_secret_is_invalid_not_expired(verifier: TokenVerifier, now: float) -> None:
    with pytest.raises(InvalidTokenError):
        verifier.verify(jwt.encode({"sub": "42", "exp": 1}, OTHER_SECRET), now)


@pytest.mark.parametrize("audience", ["warren", ["other", "warren"]])
def test_the_required_audience_may_be_one_of_several(secret: str, sign: Sign, now: float, audience: object) -> None:
    picky = TokenVerifier([secret], TokenRules(audience="warren"))

    assert picky.verify(sign({"sub": "42", "aud": audience}), now).user == "42"


@pytest.mark.parametrize("claims", [{}, {"aud": "warren2"}, {"aud": []}, {"aud": ["other"]}])
def test_a_token_without_the_required_audience_is_refused(
    secret: str, sign: Sign, now: float, claims: Mapping[str, object]
) -> None:
    picky = TokenVerifier([secret], TokenRules(audience="warren"))

    with pytest.raises(InvalidTokenError, match="audience"):
        picky.verify(sign(claims), now)


@pytest.mark.parametrize("claims", [{}, {"iss": "other"}])
def test_a_token_without_the_required_issuer_is_refused(
    secret: str, sign: Sign, now: float, claims: Mapping[str, object]
) -> None:
    picky = TokenVerifier([secret], TokenRules(issuer="backend"))

    assert picky.verify(sign({"iss": "backend"}), now).issuer == "backend"
    with pytest.raises(InvalidTokenError, match="issuer"):
        picky.verify(sign(claims), now)


def test_audience_and_issuer_do_not_matter_unless_required(verifier: TokenVerifier, sign: Sign, now: float) -> None:
    assert verifier.verify(sign({"sub": "42", "aud": "any", "iss": "any"}), now).user == "42"


@pytest.mark.parametrize(
    ("claims", "expires"),
    [
        ({}, None),
        ({"exp": 1_900_000_000}, 1_900_000_000),
        ({"exp": 1_900_000_000, "expire_at": 0}, None),
        ({"exp": 1_900_000_000, "expire_at": 2_000_000_000}, 2_000_000_000),
        ({"expire_at": 2_000_000_000.5}, 2_000_000_000.5),
        ({"exp": 1_900_000_000, "expire_at": None}, 1_900_000_000),
    ],
)
def test_the_connection_ends_at_expire_at_or_else_at_exp(
    verifier: TokenVerifier, sign: Sign, now: float, claims: Mapping[str, object], expires: float | None
) -> None:
    assert verifier.verify(sign(claims), now).connection_expires == expires


@pytest.mark.parametrize(
    ("claims", "info"),
    [
        ({}, None),
        ({"info": None}, None),
        ({"info": {"name": "Ann"}}, '{"name":"Ann"}'),
        ({"info": 0}, "0"),
        ({"info": ""}, '""'),
        ({"info": "ä\n"}, '"ä\\n"'),
        ({"b64info": b64encode(b'{ "a": 1 }').decode()}, '{"a":1}'),
        ({"info": 1, "b64info": b64encode(b"2").decode()}, "2"),
        ({"info": 1, "b64info": ""}, "1"),
    ],
)
def test_info_becomes_json_text_in_one_line(
    verifier: TokenVerifier, sign: Sign, now: float, claims: Mapping[str, object], info: str | None
) -> None:
    assert verifier.verify(sign(claims), now).info == info


def test_info_may_be_nested_to_the_limit(verifier: TokenVerifier, sign: Sign, now: float) -> None:
    assert verifier.verify(sign({"info": nested(32)}), now).info == "[" * 32 + "1" + "]" * 32


def test_channels_keep_their_order_without_repetitions(verifier: TokenVerifier, sign: Sign, now: float) -> None:
    assert verifier.verify(sign({"channels": ["b", "a", "b"]}), now).channels == ("b", "a")


@pytest.mark.parametrize(
    ("secret", "why"),
    [
        ("", "has 0 bytes"),
        ("x" * 31, "has 31 bytes"),
        ("-----BEGIN PUBLIC KEY-----\n" + "A" * 64 + "\n-----END PUBLIC KEY-----\n", "asymmetric key"),
        ("ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQ", "asymmetric key"),
    ],
)
def test_a_secret_that_cannot_be_used_is_told_apart_at_start(secret: str, why: str) -> None:
    with pytest.raises(SecretError, match=why):
        check_secret(secret)


def test_a_secret_is_measured_in_bytes() -> None:
    check_secret("ä" * 16)


def test_a_verifier_needs_a_secret() -> None:
    with pytest.raises(SecretError):
        TokenVerifier([], TokenRules())


def test_subs_are_channels_after_the_others(verifier: TokenVerifier, sign: Sign, now: float) -> None:
    token = sign({"channels": ["b", "a"], "subs": {"c": {}, "a": {}}})
    assert verifier.verify(token, now).channels == ("b", "a", "c")
