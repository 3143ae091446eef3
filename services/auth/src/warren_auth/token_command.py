"""Makes tokens for development: prints a connection token, or one for a channel, and nothing else.

In production the application's own backend makes them, with any JWT library and the same secret.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

import jwt
import orjson

from warren_auth.domain.claims import MAX_USER_LENGTH
from warren_auth.domain.tokens import SecretError, check_secret
from warren_auth.settings import SECRET_VARIABLE, AuthSettings
from warren_shared.contracts.channels import ChannelNameError, check_channel, namespace_of
from warren_shared.contracts.namespaces import NamespaceFileError, parse_duration, parse_namespaces
from warren_shared.runtime.errors import StartupError
from warren_shared.runtime.settings import load_settings

_DEFAULT_TTL: Final = 3600.0
_SHORTEST_TTL: Final = 1.0
_LONGEST_TTL: Final = 366 * 86400.0
_ALGORITHM: Final = "HS256"


def main(argv: Sequence[str] | None = None) -> int:
    """Print a token and return the exit code; mistakes are one line each, with exit code 2."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    try:
        settings = load_settings(AuthSettings)
        secret = _secret(arguments.secret_file, settings, for_channel=bool(arguments.channel))
    except (StartupError, SecretError, OSError, UnicodeDecodeError) as error:
        parser.error(str(error))
    if arguments.channels and arguments.channel:
        parser.error("a token for a channel names no others: give --channel or --channels")
    if unknown := _without_namespace([*arguments.channels, *arguments.channel], settings.namespaces_file):
        parser.error(f"channel {unknown!r} belongs to no namespace of {settings.namespaces_file}")
    if not arguments.user:
        parser.note("no user is named: this token is for the anonymous user")
    if not arguments.ttl:
        parser.note("this token is valid for ever")
    claims = token_claims(arguments.user, arguments.channels, arguments.ttl, arguments.info, settings, time.time())
    if arguments.channel:
        (claims["channel"],) = arguments.channel
    algorithm = _ALGORITHM if _ALGORITHM in settings.token_algorithms else settings.token_algorithms[0]
    sys.stdout.write(jwt.encode(claims, secret, algorithm) + "\n")
    return 0


def token_claims(
    user: str, channels: Sequence[str], ttl: float, info: object, settings: AuthSettings, now: float
) -> dict[str, object]:
    """Return the claims of a token for ``user``, valid for ``ttl`` seconds (0: for ever)."""
    optional = {
        "exp": int(now + ttl) if ttl else None,
        "info": info,
        "channels": list(channels) or None,
        "aud": settings.token_audience or None,
        "iss": settings.token_issuer or None,
    }
    return {"sub": user, "iat": int(now), **{name: value for name, value in optional.items() if value is not None}}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Say it in one line, without the usage of a command that ``make token`` typed."""
        self.exit(2, f"{self.prog}: {message}\n")

    def note(self, message: str) -> None:
        sys.stderr.write(f"{self.prog}: {message}\n")


def _parser() -> _Parser:
    parser = _Parser(prog="token", description="Print a connection token, for development.")
    parser.add_argument("--user", type=_user, required=True, help="who the token is for; empty: the anonymous user")
    parser.add_argument("--channels", type=_channels, default=(), help="channels to be subscribed to: a,b:c")
    parser.add_argument(
        "--channel", type=_channel, default=(), help="make a subscription token instead, for this one channel"
    )
    parser.add_argument(
        "--ttl", type=_ttl, default=_DEFAULT_TTL, help="how long it is valid: 3600, 90s, 1h; 0: for ever (default: 1h)"
    )
    parser.add_argument("--info", type=_info, default=None, help="connection info, as JSON")
    parser.add_argument("--secret-file", type=Path, help=f"a file that holds the secret (default: ${SECRET_VARIABLE})")
    return parser


def _user(text: str) -> str:
    if len(text) > MAX_USER_LENGTH:
        raise argparse.ArgumentTypeError(f"has {len(text)} characters; {MAX_USER_LENGTH} are the most")
    return text


def _channels(text: str) -> list[str]:
    channels = [part.strip() for part in text.split(",") if part.strip()]
    try:
        for channel in channels:
            check_channel(channel)
    except ChannelNameError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return channels


def _channel(text: str) -> list[str]:
    channels = _channels(text)
    if len(channels) > 1:
        raise argparse.ArgumentTypeError("a subscription token is for one channel")
    return channels


def _ttl(text: str) -> float:
    if not text:
        return _DEFAULT_TTL
    try:
        seconds = float(text) if text.isdecimal() else parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} {error}") from None
    if not isinstance(seconds, float) or (seconds and not _SHORTEST_TTL <= seconds <= _LONGEST_TTL):
        raise argparse.ArgumentTypeError(f"{text!r} is not from 1s to 366d (0: for ever)")
    return seconds


def _info(text: str) -> object:
    try:
        return orjson.loads(text) if text else None
    except orjson.JSONDecodeError as error:
        raise argparse.ArgumentTypeError(f"is no JSON: {error}") from None


def _without_namespace(channels: Sequence[str], file: Path) -> str | None:
    """Return the first channel whose namespace the file does not have; None too where it cannot be read."""
    try:
        namespaces = parse_namespaces(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, NamespaceFileError):
        return None
    return next((channel for channel in channels if namespace_of(channel) not in namespaces.by_name), None)


def _secret(file: Path | None, settings: AuthSettings, *, for_channel: bool) -> str:
    own = settings.subscription_token_hmac_secret.get_secret_value() if for_channel else ""
    secret = file.read_text("utf-8").strip() if file else own or settings.token_hmac_secret.get_secret_value()
    if not secret:
        raise StartupError(f"no secret: set {SECRET_VARIABLE} or give --secret-file")
    check_secret(secret)
    return secret


if __name__ == "__main__":
    sys.exit(main())
