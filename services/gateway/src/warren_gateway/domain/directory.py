"""Which connections there are: by client id, and by user once that is known."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar


class Listed(Protocol):
    """What a directory needs to know of a connection."""

    @property
    def client(self) -> str:
        """Its id."""

    @property
    def user(self) -> str:
        """Whose it is; empty until that is known, and for anonymous users."""

    @property
    def session(self) -> str:
        """The session id its client was told; empty until then."""


Item = TypeVar("Item", bound=Listed)


class Directory(Generic[Item]):
    """Connections by client and by user. Anonymous users are nobody: they are found by client alone."""

    __slots__ = ("_by_client", "_by_user")

    def __init__(self) -> None:
        self._by_client: dict[str, Item] = {}
        self._by_user: dict[str, Item | set[Item]] = {}
        """Most users have one connection here, and a set of one would cost more than the rest of the entry."""

    def __len__(self) -> int:
        return len(self._by_client)

    @property
    def users(self) -> int:
        """How many users have connections here."""
        return len(self._by_user)

    def __iter__(self) -> Iterator[Item]:
        return iter(self._by_client.values())

    def add(self, item: Item) -> None:
        """Enter a connection whose user is not known yet."""
        self._by_client[item.client] = item

    def identify(self, item: Item) -> None:
        """Enter a connection under its user as well."""
        if not item.user or self._by_client.get(item.client) is not item:
            return
        known = self._by_user.setdefault(item.user, item)
        if isinstance(known, set):
            known.add(item)
        elif known is not item:
            self._by_user[item.user] = {known, item}

    def remove(self, item: Item) -> None:
        """Forget a connection; does nothing if it is not here."""
        if self._by_client.get(item.client) is not item:
            return
        del self._by_client[item.client]
        known = self._by_user.get(item.user)
        if known is item:
            del self._by_user[item.user]
        elif isinstance(known, set):
            known.discard(item)
            if len(known) == 1:
                self._by_user[item.user] = known.pop()

    def find(self, user: str | None, client: str | None, session: str | None) -> list[Item]:
        """Return the connections of which all that is given is true; none if neither user nor client is."""
        found = self._candidates(user, client)
        return [
            item
            for item in found
            if user in (None, item.user) and client in (None, item.client) and session in (None, item.session)
        ]

    def _candidates(self, user: str | None, client: str | None) -> list[Item]:
        if client:
            item = self._by_client.get(client)
            return [] if item is None else [item]
        known = self._by_user.get(user) if user else None
        if known is None:
            return []
        return list(known) if isinstance(known, set) else [known]
