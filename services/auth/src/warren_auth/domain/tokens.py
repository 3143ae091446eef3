"""Verifying tokens: JSON Web Tokens signed with a shared secret (RFC 7519, RFC 7518)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from jwt.algorithms import HMACAlgorithm
from jwt.api_jws import PyJWS
from jwt.exceptions import InvalidAlgorithmError, InvalidKeyError, InvalidSignatureError, PyJWTError

from warren_auth.domain.claims import (
    AnyClaims,
    Claims,
    ClaimsError,
    SubscriptionClaims,
    read_claims,
    read_subscription_claims,
)

C = TypeVar("C", bound=AnyClaims)
MIN_SECRET_BYTES: Final = 32
"""RFC 7518 section 3.2: an HS256 key has at least the size of the hash."""

_HASHES: Final = {
    "HS256": HMACAlgorithm.SHA256,
    "HS384": HMACAlgorithm.SHA384,
    "HS512": HMACAlgorithm.SHA512,
}


class TokenError(Exception):
    """The token is not accepted; the message is for the log and quotes nothing of the token."""


class InvalidTokenError(TokenError):
    """It is none of ours, or says what it may not say."""


class ExpiredTokenError(TokenError):
    """It is one of ours, but its time is over or has not come yet: a new one would do."""


class SecretError(ValueError):
    """The secret cannot be used; the message says why and does not quote it."""


@dataclass(frozen=True, slots=True)
class TokenRules:
    """What is asked of a token besides its signature."""

    algorithms: tuple[str, ...] = tuple(_HASHES)
    """Which of HS256, HS384 and HS512 are accepted; nothing else ever is."""
    audience: str = ""
    """Must be among the token's ``aud``; empty: any token will do."""
    issuer: str = ""
    """Must be the token's ``iss``; empty: any token will do."""
    max_bytes: int = 16_384


class _Hmac(HMACAlgorithm):
    """HMAC without PyJWT's warning at every use of a 32-byte secret with the longer hashes: the
    secret's length is checked once, at start.
    """

    def check_key_length(self, key: object) -> str | None:  # noqa: ARG002 - the signature is PyJWT's
        return None


class TokenVerifier:
    """Verifies tokens against one or more secrets. Holds no other state."""

    def __init__(self, secrets: Sequence[str], rules: TokenRules) -> None:
        """Take the secrets in the order they are tried. Raises SecretError."""
        for secret in secrets:
            check_secret(secret)
        if not secrets:
            raise SecretError("there is none")
        self._secrets, self._rules = tuple(secrets), rules
        # Algorithms that are not accepted are not even registered: "none" and the asymmetric ones
        # have no implementation here to be talked into (RFC 8725 section 3.1).
        self._jws = PyJWS(algorithms=[])
        for name in rules.algorithms:
            self._jws.register_algorithm(name, _Hmac(_HASHES[name]))

    def verify(self, token: str, now: float) -> Claims:
        """Return the claims of a connection token that is ours and in its time.

        Raises InvalidTokenError or ExpiredTokenError, and nothing else, whatever the token is.
        """
        return self._verify(token, now, read_claims)

    def verify_subscription(self, token: str, now: float) -> SubscriptionClaims:
        """Return the claims of a subscription token, as ``verify`` does of a connection token."""
        return self._verify(token, now, read_subscription_claims)

    def _verify(self, token: str, now: float, read: Callable[[bytes], C]) -> C:
        if len(token) > self._rules.max_bytes:
            raise InvalidTokenError(f"token is longer than {self._rules.max_bytes} bytes")
        try:
            claims = read(self._signed_payload(token))
        except ClaimsError as error:
            raise InvalidTokenError(str(error)) from None
        self._check_origin(claims)
        if claims.expires is not None and claims.expires <= now:
            raise ExpiredTokenError("token has expired")
        if claims.not_before is not None and claims.not_before > now:
            raise ExpiredTokenError("token is not valid yet")
        return claims

    def _signed_payload(self, token: str) -> bytes:
        for secret in self._secrets:
            try:
                payload: bytes = self._jws.decode(token, secret, algorithms=self._rules.algorithms)
            except InvalidSignatureError:
                continue
            except InvalidAlgorithmError:
                raise InvalidTokenError("signature algorithm is not accepted") from None
            except (PyJWTError, ValueError, TypeError):
                # PyJWT's messages may quote the token's header.
                raise InvalidTokenError("token is malformed") from None
            return payload
        raise InvalidTokenError("signature does not match")

    def _check_origin(self, claims: AnyClaims) -> None:
        if self._rules.audience and self._rules.audience not in claims.audience:
            raise InvalidTokenError("audience is not ours")
        if self._rules.issuer and self._rules.issuer != claims.issuer:
            raise InvalidTokenError("issuer is not ours")


def check_secret(secret: str) -> None:
    """Raise SecretError unless ``secret`` can be used to sign and verify tokens."""
    length = len(secret.encode())
    if length < MIN_SECRET_BYTES:
        raise SecretError(f"has {length} bytes, at least {MIN_SECRET_BYTES} are needed")
    try:
        HMACAlgorithm(HMACAlgorithm.SHA256).prepare_key(secret)
    except InvalidKeyError:
        raise SecretError("looks like an asymmetric key or certificate: a shared secret is needed") from None
