"""Whatever a client sends as its token, it is accepted or refused by one of two errors."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from contextlib import suppress

import jwt
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warren_auth.domain.tokens import InvalidTokenError, TokenError, TokenRules, TokenVerifier

SECRET = "0123456789abcdef0123456789abcdef"
NOW = 1_700_000_000.0
VERIFIER = TokenVerifier([SECRET, "f" * 40], TokenRules())
JWS = jwt.PyJWS()

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
claim_names = st.sampled_from(
    ["sub", "exp", "nbf", "iat", "jti", "aud", "iss", "info", "b64info", "channels", "channel", "expire_at", "meta"]
)
header_names = st.sampled_from(["alg", "typ", "kid", "crit", "b64", "jwk", "x5u", "zip"])
segments = st.one_of(
    st.binary(max_size=60).map(urlsafe_b64encode).map(bytes.decode),
    st.dictionaries(header_names | claim_names, json_values, max_size=5).map(
        lambda document: urlsafe_b64encode(orjson.dumps(document, option=orjson.OPT_NON_STR_KEYS)).rstrip(b"=").decode()
    ),
    st.text(max_size=20),
)
tokens = st.one_of(
    st.text(max_size=200), st.lists(segments, min_size=1, max_size=5).map(".".join), st.binary().map(repr)
)


@given(token=tokens)
@settings(max_examples=400, deadline=None)
def test_nobody_is_let_in_without_a_signature(token: str) -> None:
    with pytest.raises(InvalidTokenError):
        VERIFIER.verify(token, NOW)


@given(claims=st.dictionaries(claim_names, json_values, max_size=6))
@settings(max_examples=400, deadline=None)
def test_any_signed_claims_are_read_or_refused(claims: dict[str, object]) -> None:
    token = JWS.encode(orjson.dumps(claims), SECRET, "HS256")

    with suppress(TokenError):
        read = VERIFIER.verify(token, NOW)
        assert "channel" not in claims
        assert read.user == (claims.get("sub") or "")
        assert read.expires is None or read.expires > NOW
        assert read.info is None or "\n" not in read.info


@given(claims=st.dictionaries(claim_names, json_values, max_size=3), data=st.data())
@settings(max_examples=300, deadline=None)
def test_no_change_of_a_signed_token_is_accepted(claims: dict[str, object], data: st.DataObject) -> None:
    token = JWS.encode(orjson.dumps(claims), SECRET, "HS256")
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters(codec="utf-8").filter(lambda character: character != token[place]))

    with pytest.raises(InvalidTokenError):
        VERIFIER.verify(token[:place] + other + token[place + 1 :], NOW)
