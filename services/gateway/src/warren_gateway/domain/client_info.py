"""The client protocol's ClientInfo as services pass it on: a JSON object on one line.

Info of a user is embedded as it came, never parsed and written again; only literal line feeds are
taken out, because they separate messages in a frame.
"""

from __future__ import annotations

import orjson

from warren_shared.contracts.envelope import ContractError
from warren_shared.contracts.presence import Member


def client_info(member: Member) -> bytes:
    """Return the protocol's ClientInfo object. Raises ContractError if one of its infos is no JSON."""
    parts = [b'{"user":', orjson.dumps(member.user), b',"client":', orjson.dumps(member.client)]
    for name, info in ((b',"conn_info":', member.conn_info), (b',"chan_info":', member.chan_info)):
        if info is not None:
            data = info.encode()
            if not _is_json(data):
                raise ContractError("a client's info is no JSON")
            parts += (name, one_line(data))
    parts.append(b"}")
    return b"".join(parts)


def shown_info(member: Member) -> bytes:
    """Return the ClientInfo of somebody whom another gateway let in, perhaps with an info that is no JSON."""
    try:
        return client_info(member)
    except ContractError:
        # The member is there all the same.
        return client_info(Member(client=member.client, user=member.user))


def announced_client(body: bytes) -> bytes:
    """Return the ClientInfo of a join or leave as presence sent it. Raises ContractError."""
    try:
        if isinstance(orjson.loads(body), dict):
            return one_line(body)
    except orjson.JSONDecodeError as error:
        raise ContractError("join or leave is no JSON") from error
    raise ContractError("join or leave is no JSON object")


def checked_info(info: object) -> bytes:
    """Return the ClientInfo of a publisher as a header or a store brings it. Raises ContractError."""
    if not isinstance(info, str):
        raise ContractError("header 'info' is no string")
    try:
        data = info.encode()
        if isinstance(orjson.loads(data), dict):
            return one_line(data)
    except (UnicodeEncodeError, orjson.JSONDecodeError) as error:
        raise ContractError("header 'info' is no JSON") from error
    raise ContractError("header 'info' is no JSON object")


def one_line(data: bytes) -> bytes:
    """Take out line feeds: in JSON they can only be white space between tokens."""
    return data.replace(b"\n", b"") if b"\n" in data else data


def _is_json(data: bytes) -> bool:
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError:
        return False
    return True
