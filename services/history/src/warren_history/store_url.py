"""What the URL of a database must look like, told without repeating any of it: it holds a password."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

_FORM: Final = "postgresql://user:password@host:5432/database"
_UNPRINTABLE: Final = re.compile(r"[\s\x00-\x1f\x7f]")
_PLACE: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]/@]+)(:(?P<port>\d{1,5}))?")
_TLS_FILES: Final = ("sslrootcert", "sslcert", "sslkey", "sslcrl")
_HIGHEST_PORT: Final = 65_535
_ENCODED: Final = "write / as %2F, @ as %40, : as %3A, # as %23 and ? as %3F in user and password"


def check_store_url(url: str) -> None:
    """Raise ValueError, with one line that repeats no password, for a URL that cannot be a database's.

    It may name several hosts, with commas between them: see PostgreSQL's manual, section 34.1.1.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError(f"is no URL like {_FORM}; {_ENCODED}") from None
    if parts.scheme not in {"postgresql", "postgres"} or _UNPRINTABLE.search(url):
        raise ValueError(f"is no URL like {_FORM}")
    login, _, places = parts.netloc.rpartition("@")
    if ("@" not in parts.netloc and "@" in url) or "@" in login or parts.fragment:
        raise ValueError(f"has an unencoded character before its host; {_ENCODED}")
    for place in places.split(","):
        found = _PLACE.fullmatch(place)
        if found is None or not 0 < int(found["port"] or 1) <= _HIGHEST_PORT:
            raise ValueError(f"has no legal host and port: write {_FORM}; {_ENCODED}")
    if len(parts.path) < 2:
        raise ValueError(f"names no database: write {_FORM}")
    _check_tls_files(parse_qs(parts.query))


def _check_tls_files(query: dict[str, list[str]]) -> None:
    """Open what the client would read at every connect: a missing file is no database that is away."""
    for name in _TLS_FILES:
        for file in query.get(name, ()):
            try:
                Path(file).open("rb").close()
            except OSError as error:
                raise ValueError(f"has a {name} that cannot be read ({file}: {error.strerror})") from None
