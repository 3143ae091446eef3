"""Who a connection is, to other clients and to presence."""

from __future__ import annotations

import orjson

from warren_shared.contracts.presence import Member


class Identity:
    """A connection's client id, user and connection info."""

    __slots__ = ("_member", "client", "info", "user")

    def __init__(self, client: str, user: str = "", info: str | None = None) -> None:
        """``info`` is JSON text; what is none is left out, for it would break what it is embedded in."""
        self.client, self.user, self.info = client, user, json_or_none(info)
        self._member: Member | None = None

    @property
    def member(self) -> Member:
        """The same as presence has it; made when it is first wanted, because most channels keep none."""
        if self._member is None:
            self._member = Member(client=self.client, user=self.user, conn_info=self.info)
        return self._member

    def member_in(self, info: str | None) -> Member:
        """The same in a channel where the user has an info of its own, as JSON text."""
        return self.member if info is None else self.member.model_copy(update={"chan_info": info})


def json_or_none(text: str | None) -> str | None:
    """Return JSON text as it is; None for what is none, and for null."""
    try:
        return None if text is None or orjson.loads(text) is None else text
    except orjson.JSONDecodeError:
        return None
