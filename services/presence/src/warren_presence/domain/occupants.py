"""One connection in a channel, kept small, and as the client protocol shows it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import orjson

from warren_shared.contracts.presence import Member, Members


@dataclass(frozen=True, slots=True)
class Occupant:
    """A member of a channel as the index keeps it."""

    client: str
    user: str
    conn_info: str | None
    chan_info: str | None
    announce: bool
    """Whether its leave is to be pushed, should nobody else say so."""
    generation: int
    """Which generation of its gateway's reports confirmed it last."""


def occupant_of(member: Member, *, announce: bool, generation: int) -> Occupant:
    """Return a reported member as the index keeps it."""
    return Occupant(member.client, member.user, member.conn_info, member.chan_info, announce, generation)


def encode_members(occupants: Iterable[Occupant]) -> bytes:
    """Return a Members message, encoded as the contract would: ten times faster, and a channel may be large."""
    members = [_document(occupant) for occupant in occupants]
    return orjson.dumps({"type": Members.type_name, "v": Members.written_version, "members": members})


def _document(occupant: Occupant) -> dict[str, str]:
    document = {"client": occupant.client}
    if occupant.user:
        document["user"] = occupant.user
    if occupant.conn_info is not None:
        document["conn_info"] = occupant.conn_info
    if occupant.chan_info is not None:
        document["chan_info"] = occupant.chan_info
    return document


def client_info(who: Member | Occupant) -> bytes:
    """Return the client protocol's ClientInfo as JSON, its infos embedded as they are.

    ``user`` and ``client`` are always there, empty or not. The infos are JSON texts on one line:
    whoever decodes a report sees to that.
    """
    document: dict[str, object] = {"user": who.user, "client": who.client}
    if who.conn_info is not None:
        document["conn_info"] = orjson.Fragment(who.conn_info)
    if who.chan_info is not None:
        document["chan_info"] = orjson.Fragment(who.chan_info)
    return orjson.dumps(document)
