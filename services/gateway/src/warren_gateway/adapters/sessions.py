"""The connections whose commands come in requests of their own, by the session that is their secret."""

from __future__ import annotations

from hashlib import blake2b
from hmac import compare_digest
from secrets import token_bytes
from typing import Generic, TypeVar

Held = TypeVar("Held")


class Sessions(Generic[Held]):
    """Finds what belongs to a session in a time that tells nothing of the sessions there are.

    They are kept by a keyed hash, whose value nobody outside can steer, and compared as a whole.
    """

    def __init__(self) -> None:
        self._key = token_bytes(32)
        self._held: dict[bytes, tuple[bytes, Held]] = {}

    def __len__(self) -> int:
        return len(self._held)

    def add(self, session: str, held: Held) -> None:
        """Know a session from now on."""
        encoded = session.encode()
        self._held[self._place(encoded)] = encoded, held

    def find(self, session: str) -> Held | None:
        """Return what belongs to a session, if it is one."""
        encoded = session.encode(errors="surrogatepass")
        found = self._held.get(self._place(encoded))
        return found[1] if found is not None and compare_digest(found[0], encoded) else None

    def remove(self, session: str) -> None:
        """Know a session no longer."""
        self._held.pop(self._place(session.encode()), None)

    def _place(self, session: bytes) -> bytes:
        return blake2b(session, digest_size=16, key=self._key).digest()
