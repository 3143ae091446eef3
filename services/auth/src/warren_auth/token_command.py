"""Makes connection tokens for development: prints a token and nothing else.

In production the application's own backend makes them, with any JWT library and the same secret.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import jwt
import orjson

from warren_auth.domain.tokens import SecretError, check_secret
from warren_auth.settings import SECRET_VARIABLE, AuthSettings
from warren_shared.contracts.channels import ChannelNameError, check_channel
from warren_shared.contracts.namespaces import parse_duration
from warren_shared.runtime.errors import StartupError
from warren_shared.runtime.settings import load_settings

_DEFAULT_TTL: Final = 3600.0
_ALGORITHM: Final = "HS256"


def main(argv: Sequence[str] | None = None) -> int:
    """Print a token and return the exit code; mistakes are one line each, with exit code 2."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    try:
        settings = load_settings(AuthSettings)
        secret = _secret(arguments.secret_file, settings)
    except (StartupError, SecretError, OSError, UnicodeDecodeError) as error:
        parser.error(str(error))
    claims = token_claims(arguments.user, arguments.channels, arguments.ttl, arguments.info, settings, time.time())
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m warren_auth.token_command", description="Print a connection token, for development."
    )
    parser.add_argument("--user", required=True, help="who the token is for; empty: the anonymous user")
    parser.add_argument("--channels", type=_channels, default=(), help="channels to be subscribed to: a,b:c")
    parser.add_argument(
        "--ttl", type=_ttl, default=_DEFAULT_TTL, help="how long it is valid: 3600, 90s, 1h; 0: for ever (default: 1h)"
    )
    parser.add_argument("--info", type=_info, default=None, help="connection info, as JSON")
    parser.add_argument("--secret-file", type=Path, help=f"a file that holds the secret (default: ${SECRET_VARIABLE})")
    return parser


def _channels(text: str) -> list[str]:
    channels = [part.strip() for part in text.split(",") if part.strip()]
    try:
        for channel in channels:
            check_channel(channel)
    except ChannelNameError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return channels


def _ttl(text: str) -> float:
    if not text:
        return _DEFAULT_TTL
    try:
        seconds = float(text) if text.isdecimal() else parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} {error}") from None
    return seconds if isinstance(seconds, float) else _DEFAULT_TTL


def _info(text: str) -> object:
    try:
        return orjson.loads(text) if text else None
    except orjson.JSONDecodeError as error:
        raise argparse.ArgumentTypeError(f"is no JSON: {error}") from None


def _secret(file: Path | None, settings: AuthSettings) -> str:
    secret = file.read_text("utf-8").strip() if file else settings.token_hmac_secret.get_secret_value()
    if not secret:
        raise StartupError(f"no secret: set {SECRET_VARIABLE} or give --secret-file")
    check_secret(secret)
    return secret


if __name__ == "__main__":
    sys.exit(main())
