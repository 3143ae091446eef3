"""Who may use the API: whoever knows one of its keys."""

from __future__ import annotations

import hmac
from collections.abc import Collection
from typing import Final

MIN_KEY_BYTES: Final = 16
_SCHEME: Final = "apikey "


class ApiKeys:
    """The keys that are accepted; several, so that one can be replaced by another without a gap."""

    def __init__(self, keys: Collection[str]) -> None:
        self._keys = tuple(key.encode() for key in keys)

    def accept(self, key: str) -> bool:
        """Whether the key is one of them; how long that takes tells nothing of them but their lengths."""
        given = key.encode(errors="surrogatepass")
        return sum(hmac.compare_digest(given, known) for known in self._keys) > 0


def given_key(x_api_key: str | None, authorization: str | None) -> str:
    """Return the key of a request's headers ``X-API-Key``, or ``Authorization: apikey KEY``; empty for none."""
    if x_api_key:
        return x_api_key
    if authorization and authorization.lower().startswith(_SCHEME):
        return authorization[len(_SCHEME) :].strip()
    return ""
