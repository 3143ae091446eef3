"""What a broker's URL must look like, told without repeating any of it: it holds a password."""

from __future__ import annotations

import re
import ssl
from typing import Final
from urllib.parse import SplitResult, parse_qs, urlsplit

_FORM: Final = "amqp://user:password@host:5672/vhost"
_UNPRINTABLE: Final = re.compile(r"[\s\x00-\x1f\x7f]")
_MECHANISMS: Final = ("plain", "external")
_ENCODED: Final = "write / as %2F, @ as %40, : as %3A, # as %23 and ? as %3F in user, password and virtual host"


def split_broker_url(url: str) -> SplitResult:
    """Take apart ``amqp[s]://user:password@host:port/vhost``. Raises ValueError with one line that repeats no password.

    A password with a character that ends the authority (RFC 3986 section 3.2) would make another
    URL of it, so that part of the password is taken for a port or a path: that is told as well.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError(f"is no URL like {_FORM}; {_ENCODED}") from None
    if parts.scheme not in {"amqp", "amqps"} or _UNPRINTABLE.search(url):
        raise ValueError(f"is no URL like {_FORM}")
    try:
        port = parts.port
    except ValueError:
        raise ValueError(f"has no legal port number; {_ENCODED}") from None
    if port == 0:
        raise ValueError("has no legal port number")
    if ("@" not in parts.netloc and "@" in url) or parts.fragment:
        raise ValueError(f"has an unencoded character before its host; {_ENCODED}")
    if not parts.hostname:
        raise ValueError(f"names no host: write {_FORM}")
    return parts


def check_broker_url(url: str) -> None:
    """Raise ValueError, with one line that repeats no password, for a URL no connection can be made with."""
    query = parse_qs(split_broker_url(url).query)
    if any(mechanism.lower() not in _MECHANISMS for mechanism in query.get("auth", ())):
        raise ValueError("has an unknown auth: plain and external are known")
    _check_tls_files(query)


def _check_tls_files(query: dict[str, list[str]]) -> None:
    """Read what the client would read at every connect: a missing file is no broker that is away."""
    files: dict[str, str] = {name: query[name][-1] for name in ("cafile", "certfile", "keyfile") if name in query}
    if "keyfile" in files and "certfile" not in files:
        raise ValueError("has a keyfile and no certfile")
    for name, read in (("cafile", _read_authorities), ("certfile", _read_certificate)):
        if name in files:
            try:
                read(files)
            except (OSError, ssl.SSLError) as error:
                reason = f"no usable PEM: {error.reason}" if isinstance(error, ssl.SSLError) else error.strerror
                raise ValueError(f"has a {name} that cannot be used ({files[name]}: {reason})") from None


def _read_authorities(files: dict[str, str]) -> None:
    ssl.create_default_context(cafile=files["cafile"])


def _read_certificate(files: dict[str, str]) -> None:
    ssl.create_default_context().load_cert_chain(files["certfile"], files.get("keyfile"), password=_no_password)


def _no_password() -> str:
    """Answer instead of the terminal, which a service has not."""
    return ""
