"""What auth can be told, from the environment."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

from warren_auth.domain.tokens import SecretError, TokenRules, TokenVerifier
from warren_shared.runtime.errors import StartupError
from warren_shared.runtime.settings import ServiceSettings, service_config, split_list

SECRET_VARIABLE: Final = "WARREN_AUTH_TOKEN_HMAC_SECRET"  # noqa: S105 - a variable's name
SUBSCRIPTION_SECRET_VARIABLE: Final = "WARREN_AUTH_SUBSCRIPTION_TOKEN_HMAC_SECRET"  # noqa: S105 - likewise
_HOW_TO_MAKE_ONE: Final = "make one with: openssl rand -hex 32"


Algorithms = Annotated[
    tuple[Literal["HS256", "HS384", "HS512"], ...], NoDecode, BeforeValidator(split_list), Field(min_length=1)
]


class AuthSettings(ServiceSettings):
    """Settings of auth, read as ``WARREN_AUTH_<FIELD>``."""

    model_config = service_config("auth")

    ops_port: int = Field(9111, ge=0, le=65535, description="Port of /metrics, /livez and /readyz.")
    token_hmac_secret: SecretStr = Field(
        SecretStr(""), description="The secret connection tokens are signed with, 32 bytes at least. Required."
    )
    token_hmac_secret_previous: SecretStr = Field(
        SecretStr(""), description="The secret before it: still accepted, while a new one is brought in."
    )
    subscription_token_hmac_secret: SecretStr = Field(
        SecretStr(""),
        description="The secret subscription tokens are signed with, 32 bytes at least. "
        "Empty: those of connection tokens.",
    )
    subscription_token_hmac_secret_previous: SecretStr = Field(
        SecretStr(""), description="The secret before it: still accepted, while a new one is brought in."
    )
    token_algorithms: Algorithms = Field(
        ("HS256", "HS384", "HS512"), description="Signature algorithms accepted, separated by commas."
    )
    token_audience: str = Field("", description="The aud claim a token must have; empty: any will do.")
    token_issuer: str = Field("", description="The iss claim a token must have; empty: any will do.")
    token_max_bytes: int = Field(16_384, ge=256, le=1_048_576, description="Longest token accepted.")
    max_channels: int = Field(128, ge=0, description="Most channels a token may subscribe its connection to.")
    allow_anonymous: bool = Field(False, description="Admit clients that bring no token, as the anonymous user.")
    insecure: bool = Field(
        False,
        description="For development alone: let everybody in, with or without a token, and allow everything that "
        "namespaces offer but private and user-limited channels. Nothing expires.",
    )
    concurrency: int = Field(64, ge=1, le=1024, description="Requests taken from the broker at a time.")

    @property
    def token_rules(self) -> TokenRules:
        """What is asked of tokens."""
        return TokenRules(
            algorithms=self.token_algorithms,
            audience=self.token_audience,
            issuer=self.token_issuer,
            max_bytes=self.token_max_bytes,
        )


def verifier_of(settings: AuthSettings) -> TokenVerifier:
    """Return the verifier of connection tokens. Raises StartupError where a secret is missing or cannot be used."""
    if not settings.token_hmac_secret.get_secret_value():
        raise StartupError(f"{SECRET_VARIABLE} is not set: {_HOW_TO_MAKE_ONE}")
    return _verifier(SECRET_VARIABLE, settings.token_hmac_secret, settings.token_hmac_secret_previous, settings)


def subscription_verifier_of(settings: AuthSettings) -> TokenVerifier:
    """Return the verifier of subscription tokens, as ``verifier_of`` does."""
    secret, previous = settings.subscription_token_hmac_secret, settings.subscription_token_hmac_secret_previous
    if secret.get_secret_value():
        return _verifier(SUBSCRIPTION_SECRET_VARIABLE, secret, previous, settings)
    if previous.get_secret_value():
        raise StartupError(f"{SUBSCRIPTION_SECRET_VARIABLE} is not set, but its _PREVIOUS is")
    return verifier_of(settings)


def _verifier(variable: str, secret: SecretStr, previous: SecretStr, settings: AuthSettings) -> TokenVerifier:
    secrets = [each for each in (secret.get_secret_value(), previous.get_secret_value()) if each]
    try:
        return TokenVerifier(secrets, settings.token_rules)
    except SecretError as error:
        where = f"{variable} (or its _PREVIOUS)" if len(secrets) > 1 else variable
        raise StartupError(f"{where} {error}; {_HOW_TO_MAKE_ONE}") from None
