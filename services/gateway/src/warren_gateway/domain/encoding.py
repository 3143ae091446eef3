"""Publications, joins and leaves as JSON of the client protocol (its push and Publication objects).

A payload is embedded as it came, never parsed and written again; only literal line feeds are taken
out, because they separate messages in a frame.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import orjson

from warren_shared.contracts.envelope import ContractError
from warren_shared.contracts.history import StoredPublication
from warren_shared.contracts.pack import Packed
from warren_shared.contracts.presence import Member
from warren_shared.contracts.publication import Header, check_payload, tags_of

NOTHING: Final = b""
"""Stands for a publication that cannot be shown to a client that speaks JSON."""

_NO_TAGS: Final[Mapping[str, str]] = {}
_END: Final = b"}}"


@dataclass(frozen=True, slots=True)
class Numbered:
    """A publication of a durable channel, ready to be shown."""

    offset: int
    encoded: bytes
    """The protocol's Publication object, or NOTHING."""
    trace: object | None = None
    """The sampled trace context it came with."""


class PushHead:
    """The part that all pushes of one channel begin with."""

    __slots__ = ("_head",)

    def __init__(self, channel: str) -> None:
        self._head = b'{"push":{"channel":' + orjson.dumps(channel)

    def publication(self, encoded: bytes) -> bytes:
        """Return the push of an encoded Publication object."""
        return b"".join((self._head, b',"pub":', encoded, _END))

    def join(self, info: bytes) -> bytes:
        """Return the push that says somebody, described by an encoded ClientInfo, joined."""
        return b"".join((self._head, b',"join":{"info":', info, b"}}}"))

    def leave(self, info: bytes) -> bytes:
        """Return the push that says somebody left."""
        return b"".join((self._head, b',"leave":{"info":', info, b"}}}"))


def live_publication(data: bytes, headers: Mapping[str, object], data_format: str) -> bytes:
    """Encode what was published on a live channel, where any backend may publish.

    Raises ContractError if it is not what the namespace asks for, or cannot be shown as JSON. A
    position among the headers is ignored: a live channel has none.
    """
    check_payload(data, data_format)
    if data_format == "binary":
        check_payload(data, "json")
    if not headers:
        return encode_publication(data)
    return encode_publication(data, info=_info_of(headers), tags=tags_of(headers))


def durable_publication(
    data: bytes, headers: Mapping[str, object], data_format: str, trace: object | None = None
) -> tuple[str, Numbered]:
    """Encode what history delivers on a durable channel; returns its epoch too.

    Raises ContractError if it carries no position. History has checked the payload; anything else
    that cannot be used is left out, because leaving out the publication would make a gap.
    """
    offset, epoch, time = headers.get(Header.OFFSET), headers.get(Header.EPOCH), headers.get(Header.TIME)
    if type(offset) is not int or offset < 1 or not isinstance(epoch, str) or not epoch:
        raise ContractError("delivery on a durable channel carries no position")
    packed = Packed(offset, time if type(time) is int else 0, data)
    return epoch, _numbered(packed, headers, data_format, trace)


def packed_publication(packed: Packed, data_format: str, trace: object | None = None) -> Numbered:
    """Encode what history delivers in a pack, as ``durable_publication`` does."""
    return _numbered(packed, packed.headers, data_format, trace)


def _numbered(packed: Packed, headers: Mapping[str, object], data_format: str, trace: object | None) -> Numbered:
    offset, data = packed.offset, packed.data
    if data_format == "binary" and not _is_shown(data):
        return Numbered(offset, NOTHING, trace)
    if not headers:
        return Numbered(offset, encode_publication(data, offset=offset, time=packed.time), trace)
    try:
        info, tags = _info_of(headers), tags_of(headers)
    except ContractError:
        info, tags = None, {}
    return Numbered(offset, encode_publication(data, info=info, offset=offset, tags=tags, time=packed.time), trace)


def stored_publication(stored: StoredPublication) -> Numbered:
    """Encode what was read from history."""
    data = stored.data.encode()
    if stored.binary:
        try:
            data = b64decode(data, validate=True)
        except Base64Error:
            return Numbered(stored.offset, NOTHING)
        if not _is_shown(data):
            return Numbered(stored.offset, NOTHING)
    try:
        info = None if stored.info is None else _checked_info(stored.info)
    except ContractError:
        info = None
    return Numbered(
        stored.offset,
        encode_publication(data, info=info, offset=stored.offset, tags=stored.tags, time=stored.time),
    )


def encode_publication(
    data: bytes,
    *,
    info: bytes | None = None,
    offset: int = 0,
    tags: Mapping[str, str] = _NO_TAGS,
    time: int = 0,
) -> bytes:
    """Return a protocol Publication object; what is empty is left out, as the client protocol wants."""
    parts = [b'{"data":', _one_line(data)]
    if info:
        parts += (b',"info":', info)
    if offset:
        parts.append(b',"offset":%d' % offset)
    if tags:
        parts += (b',"tags":', orjson.dumps(tags))
    if time:
        parts.append(b',"time":%d' % time)
    parts.append(b"}")
    return b"".join(parts)


def client_info(member: Member) -> bytes:
    """Return the protocol's ClientInfo object. Raises ContractError if one of its infos is no JSON."""
    parts = [b'{"user":', orjson.dumps(member.user), b',"client":', orjson.dumps(member.client)]
    for name, info in ((b',"conn_info":', member.conn_info), (b',"chan_info":', member.chan_info)):
        if info is not None:
            data = info.encode()
            if not _is_json(data):
                raise ContractError("a client's info is no JSON")
            parts += (name, _one_line(data))
    parts.append(b"}")
    return b"".join(parts)


def announced_client(body: bytes) -> bytes:
    """Return the ClientInfo of a join or leave as presence sent it. Raises ContractError."""
    try:
        if isinstance(orjson.loads(body), dict):
            return _one_line(body)
    except orjson.JSONDecodeError as error:
        raise ContractError("join or leave is no JSON") from error
    raise ContractError("join or leave is no JSON object")


def _info_of(headers: Mapping[str, object]) -> bytes | None:
    info = headers.get(Header.INFO)
    return None if info is None else _checked_info(info)


def _checked_info(info: object) -> bytes:
    if not isinstance(info, str):
        raise ContractError("header 'info' is no string")
    try:
        data = info.encode()
        if isinstance(orjson.loads(data), dict):
            return _one_line(data)
    except (UnicodeEncodeError, orjson.JSONDecodeError) as error:
        raise ContractError("header 'info' is no JSON") from error
    raise ContractError("header 'info' is no JSON object")


def _is_shown(data: bytes) -> bool:
    """Whether a payload of a binary namespace is JSON all the same."""
    try:
        check_payload(data, "json")
    except ContractError:
        return False
    return True


def _is_json(data: bytes) -> bool:
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError:
        return False
    return True


def _one_line(data: bytes) -> bytes:
    """Take out line feeds: in JSON they can only be white space between tokens."""
    return data.replace(b"\n", b"") if b"\n" in data else data
