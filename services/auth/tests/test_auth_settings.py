"""What auth reads from the environment, and how it says what is wrong there."""

from __future__ import annotations

import jwt
import pytest

from warren_auth.domain.tokens import InvalidTokenError
from warren_auth.settings import AuthSettings, subscription_verifier_of, verifier_of
from warren_shared.runtime.errors import StartupError
from warren_shared.runtime.settings import load_settings

SECRET = "0123456789abcdef0123456789abcdef"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SECRET", "SECRET_PREVIOUS"):
        monkeypatch.delenv(f"WARREN_AUTH_TOKEN_HMAC_{name}", raising=False)
        monkeypatch.delenv(f"WARREN_AUTH_SUBSCRIPTION_TOKEN_HMAC_{name}", raising=False)
    monkeypatch.delenv("WARREN_AUTH_TOKEN_ALGORITHMS", raising=False)


def test_a_missing_secret_is_a_startup_error_that_says_how_to_make_one() -> None:
    with pytest.raises(StartupError, match=r"WARREN_AUTH_TOKEN_HMAC_SECRET is not set.*openssl rand -hex 32"):
        verifier_of(load_settings(AuthSettings))


def test_a_short_secret_is_a_startup_error_that_does_not_quote_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WARREN_AUTH_TOKEN_HMAC_SECRET", "hunter2")

    with pytest.raises(StartupError, match=r"has 7 bytes.*openssl rand") as caught:
        verifier_of(load_settings(AuthSettings))
    assert "hunter2" not in str(caught.value)


def test_a_short_previous_secret_is_a_startup_error_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WARREN_AUTH_TOKEN_HMAC_SECRET", SECRET)
    monkeypatch.setenv("WARREN_AUTH_TOKEN_HMAC_SECRET_PREVIOUS", "short")

    with pytest.raises(StartupError, match="_PREVIOUS"):
        verifier_of(load_settings(AuthSettings))


def test_algorithms_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WARREN_AUTH_TOKEN_ALGORITHMS", "HS512, HS256")

    assert load_settings(AuthSettings).token_rules.algorithms == ("HS512", "HS256")


@pytest.mark.parametrize("algorithms", ["none", "RS256", "HS256,none", ","])
def test_only_hmac_algorithms_can_be_chosen(monkeypatch: pytest.MonkeyPatch, algorithms: str) -> None:
    monkeypatch.setenv("WARREN_AUTH_TOKEN_ALGORITHMS", algorithms)

    with pytest.raises(StartupError, match="WARREN_AUTH_TOKEN_ALGORITHMS"):
        load_settings(AuthSettings)


def test_settings_do_not_show_their_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WARREN_AUTH_TOKEN_HMAC_SECRET", SECRET)

    assert SECRET not in repr(load_settings(AuthSettings))


SUBSCRIPTION = {"sub": "42", "channel": "a"}


class TestSubscriptionTokens:
    def test_are_signed_with_the_connection_tokens_secret_by_default(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("WARREN_AUTH_TOKEN_HMAC_SECRET", SECRET)
        verifier = subscription_verifier_of(load_settings(AuthSettings))
        assert verifier.verify_subscription(jwt.encode(SUBSCRIPTION, SECRET), 0).channel == "a"

    def test_with_a_secret_of_their_own_are_signed_with_no_other(self, monkeypatch: pytest.MonkeyPatch) -> None:
        own = "f" * 32
        monkeypatch.setenv("WARREN_AUTH_TOKEN_HMAC_SECRET", SECRET)
        monkeypatch.setenv("WARREN_AUTH_SUBSCRIPTION_TOKEN_HMAC_SECRET", own)
        verifier = subscription_verifier_of(load_settings(AuthSettings))
        assert verifier.verify_subscription(jwt.encode(SUBSCRIPTION, own), 0).channel == "a"
        with pytest.raises(InvalidTokenError):
            verifier.verify_subscription(jwt.encode(SUBSCRIPTION, SECRET), 0)

    def test_a_previous_secret_alone_is_a_mistake(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("WARREN_AUTH_TOKEN_HMAC_SECRET", SECRET)
        monkeypatch.setenv("WARREN_AUTH_SUBSCRIPTION_TOKEN_HMAC_SECRET_PREVIOUS", SECRET)
        with pytest.raises(StartupError, match="WARREN_AUTH_SUBSCRIPTION_TOKEN_HMAC_SECRET is not set"):
            subscription_verifier_of(load_settings(AuthSettings))

    def test_a_short_secret_is_a_startup_error_that_names_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("WARREN_AUTH_TOKEN_HMAC_SECRET", SECRET)
        monkeypatch.setenv("WARREN_AUTH_SUBSCRIPTION_TOKEN_HMAC_SECRET", "short")
        with pytest.raises(StartupError, match="WARREN_AUTH_SUBSCRIPTION_TOKEN_HMAC_SECRET has 5 bytes"):
            subscription_verifier_of(load_settings(AuthSettings))


def test_insecure_mode_is_off_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WARREN_AUTH_INSECURE", raising=False)
    assert not load_settings(AuthSettings).insecure
