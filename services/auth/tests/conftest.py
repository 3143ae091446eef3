"""What auth's tests share: a secret, a time, a way to sign claims, and namespaces of each kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import jwt
import orjson
import pytest

from warren_auth.domain.admission import Admission
from warren_auth.domain.subscription_admission import SubscriptionAdmission
from warren_auth.domain.tokens import TokenRules, TokenVerifier
from warren_shared.contracts.namespaces import Namespaces, parse_namespaces

Sign = Callable[[Mapping[str, object]], str]

NAMESPACES = """
without_namespace: {allow_subscribe_for_client: true}
namespaces:
  - name: closed
  - name: chat
    allow_subscribe_for_client: true
    allow_subscribe_for_anonymous: true
    allow_publish_for_subscriber: true
    allow_presence_for_subscriber: true
    allow_history_for_client: true
    allow_history_for_anonymous: true
  - name: inbox
    allow_user_limited_channels: true
    allow_history_for_subscriber: true
"""


@pytest.fixture
def secret() -> str:
    return "0123456789abcdef0123456789abcdef"


@pytest.fixture
def now() -> float:
    return 1_700_000_000.0


@pytest.fixture
def sign(secret: str) -> Sign:
    # Below PyJWT's own checks of claims, so that unusable ones can be signed too.
    return lambda claims: jwt.PyJWS().encode(orjson.dumps(claims), secret, "HS256")


@pytest.fixture
def namespaces() -> Namespaces:
    return parse_namespaces(NAMESPACES)


@pytest.fixture
def verifier(secret: str) -> TokenVerifier:
    return TokenVerifier([secret], TokenRules())


@pytest.fixture
def admission(verifier: TokenVerifier, namespaces: Namespaces) -> Admission:
    return Admission(verifier, namespaces, allow_anonymous=False, max_channels=3)


@pytest.fixture
def subscriptions(verifier: TokenVerifier, namespaces: Namespaces) -> SubscriptionAdmission:
    return SubscriptionAdmission(verifier, namespaces)
