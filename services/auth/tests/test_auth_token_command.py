"""The token command: prints a token that auth accepts, or one line about what is wrong."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from warren_auth.domain.claims import Claims
from warren_auth.domain.tokens import TokenRules, TokenVerifier
from warren_auth.token_command import main

SECRET = "0123456789abcdef0123456789abcdef"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WARREN_AUTH_TOKEN_HMAC_SECRET", SECRET)
    monkeypatch.setenv("WARREN_NAMESPACES_FILE", str(tmp_path / "none.yml"))


def printed(capsys: pytest.CaptureFixture[str], *arguments: str, rules: TokenRules | None = None) -> Claims:
    assert main(arguments) == 0
    (token,) = capsys.readouterr().out.splitlines()
    return TokenVerifier([SECRET], rules or TokenRules()).verify(token, time.time())


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    (line,) = shown.err.splitlines()
    return line


def test_a_token_lasts_an_hour_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    claims = printed(capsys, "--user", "alice")

    assert claims.user == "alice"
    assert claims.expires == pytest.approx(time.time() + 3600, abs=30)
    assert (claims.info, claims.channels) == (None, ())


def test_channels_info_and_time_can_be_told(capsys: pytest.CaptureFixture[str]) -> None:
    claims = printed(capsys, "--user", "alice", "--channels", "a, chat:b", "--info", '{"name": "Ann"}', "--ttl", "90s")

    assert claims.channels == ("a", "chat:b")
    assert claims.info == '{"name":"Ann"}'
    assert claims.expires == pytest.approx(time.time() + 90, abs=30)


def test_empty_arguments_are_as_if_not_given(capsys: pytest.CaptureFixture[str]) -> None:
    claims = printed(capsys, "--user", "", "--channels", "", "--info", "", "--ttl", "")

    assert claims.user == ""
    assert claims.channels == ()
    assert claims.expires == pytest.approx(time.time() + 3600, abs=30)


def test_ttl_zero_is_for_ever_which_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    main(("--user", "alice", "--ttl", "0"))
    shown = capsys.readouterr()
    assert TokenVerifier([SECRET], TokenRules()).verify(shown.out.strip(), time.time()).expires is None
    assert shown.err == "token: this token is valid for ever\n"


def test_a_token_for_nobody_is_said_to_be_anonymous(capsys: pytest.CaptureFixture[str]) -> None:
    main(("--user", ""))
    assert capsys.readouterr().err == "token: no user is named: this token is for the anonymous user\n"
    main(("--user", "alice"))
    assert capsys.readouterr().err == ""


def test_a_channel_of_no_namespace_in_the_file_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "namespaces.yml"
    monkeypatch.setenv("WARREN_NAMESPACES_FILE", str(file))
    channels = ("--user", "alice", "--channels", "chat:a,nosuch:b")
    assert printed(capsys, *channels).channels == ("chat:a", "nosuch:b")  # nothing to look it up in

    file.write_text("namespaces: [{name: chat}]")
    assert refused(capsys, *channels) == f"token: channel 'nosuch:b' belongs to no namespace of {file}"
    assert printed(capsys, "--user", "alice", "--channels", "chat:a").channels == ("chat:a",)


def test_a_falsy_info_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "--user", "alice", "--info", "0").info == "0"


def test_what_auth_requires_is_in_the_token(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WARREN_AUTH_TOKEN_AUDIENCE", "warren")
    monkeypatch.setenv("WARREN_AUTH_TOKEN_ISSUER", "backend")

    assert printed(capsys, "--user", "alice", rules=TokenRules(audience="warren", issuer="backend")).user == "alice"


def test_the_secret_may_be_in_a_file(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("WARREN_AUTH_TOKEN_HMAC_SECRET")
    file = tmp_path / "secret"
    file.write_text(SECRET + "\n")

    assert printed(capsys, "--user", "alice", "--secret-file", str(file)).user == "alice"


def test_a_missing_secret_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("WARREN_AUTH_TOKEN_HMAC_SECRET")

    assert "no secret: set WARREN_AUTH_TOKEN_HMAC_SECRET" in refused(capsys, "--user", "alice")
    assert "No such file" in refused(capsys, "--user", "alice", "--secret-file", str(tmp_path / "none"))


@pytest.mark.parametrize(
    ("arguments", "about"),
    [
        (("--info", "{"), "--info"),
        (("--ttl", "soon"), "--ttl"),
        (("--ttl", "5x"), "--ttl"),
        (("--ttl=-1h",), "--ttl"),
        (("--ttl", "0.5s"), "--ttl"),
        (("--ttl", "367d"), "--ttl"),
        (("--ttl", "9" * 400), "--ttl"),
        (("--user", "x" * 256), "--user"),
        (("--channels", "chat:*"), "--channels"),
    ],
)
def test_an_argument_that_cannot_be_used_is_one_line(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], about: str
) -> None:
    assert about in refused(capsys, "--user", "alice", *arguments)


def test_a_token_may_be_for_one_channel_instead(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = "f" * 32
    monkeypatch.setenv("WARREN_AUTH_SUBSCRIPTION_TOKEN_HMAC_SECRET", own)
    assert main(["--user", "alice", "--channel", "chat:$x"]) == 0
    claims = TokenVerifier([own], TokenRules()).verify_subscription(capsys.readouterr().out.strip(), time.time())
    assert (claims.user, claims.channel) == ("alice", "chat:$x")


@pytest.mark.parametrize("channels", [["--channel", "a,b"], ["--channel", "a", "--channels", "b"]])
def test_a_token_for_a_channel_is_for_that_alone(capsys: pytest.CaptureFixture[str], channels: list[str]) -> None:
    assert "channel" in refused(capsys, "--user", "alice", *channels)
