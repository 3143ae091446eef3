"""Packs: publications that history appended together, as one message on ``warren.deliver``.

Many small messages cost a broker and its gateways much more than one large one. A pack's AMQP type is
``DeliverType.PACK``, its routing key that of its channel, or of its channels' namespace
(``channels.namespace_key``); its body is laid out as LAYOUT says.

What one channel gets is a run, in order; whoever does not follow the channel skips its run unread. The
headers of a publication are those it would have as a message of its own, but for its position. Contracts
only grow: what is added later goes where LAYOUT says "more", and a reader skips it. The version changes
only where that is impossible.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from warren_shared.contracts.envelope import ContractError, UnknownMessageError

LAYOUT: Final = """
pack:         version u8, sizes: more u16;
              more, runs to the end
run:          size u32, publications u32, sizes: head u16, key u8, epoch u8;
              head (key, epoch, more), publications to the end
publication:  size u32, offset i64, time i64, sizes: data u32, headers u32, message_id u8, content_type u8;
              data, message_id, content_type, headers, more to the end
header:       sizes: name u8, value u32;
              name, value
"""
"""Numbers are big-endian, texts UTF-8, sizes bytes. A size without a name is that of all behind the semicolon."""

MAX_PACK_PUBLICATIONS: Final = 256
MAX_PACK_BYTES: Final = 262_144
"""What a writer puts into one pack. A reader takes what it gets: the message is in its memory already."""

NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})

_VERSION: Final = 1
_PACK: Final = struct.Struct(">BH")
_RUN: Final = struct.Struct(">IIHBB")
_PUBLICATION: Final = struct.Struct(">IqqIIBB")
_HEADER: Final = struct.Struct(">BI")


class Packed(NamedTuple):
    """A publication in a pack; a tuple, because one is made for each that arrives."""

    offset: int
    time: int
    """Unix milliseconds at which it was stored."""
    data: bytes
    headers: Mapping[str, str] = NO_HEADERS
    """Info, tags and trace context, as a message of its own would carry them."""
    message_id: str = ""
    content_type: str = ""
    """Empty: JSON."""


class Run:
    """The publications of one channel in a pack that was read."""

    __slots__ = ("_at", "_body", "_end", "epoch", "key", "size")

    def __init__(self, key: str, epoch: str, size: int, body: bytes, at: int, end: int) -> None:
        self.key, self.epoch = key, epoch
        self.size = size
        """How many publications it says it has."""
        self._body, self._at, self._end = body, at, end

    def publications(self) -> list[Packed]:
        """Read them, in order. Raises ContractError, whatever is wrong with them."""
        try:
            return self._read()
        except UnicodeDecodeError as error:
            raise ContractError(f"pack: a text of {self.key[:64]!r} is no UTF-8") from error

    def _read(self) -> list[Packed]:
        body, at, end, read = self._body, self._at, self._end, _PUBLICATION.unpack_from
        found: list[Packed] = []
        while at < end:
            start = at + _PUBLICATION.size
            if start > end:
                raise ContractError(f"pack: the publication at byte {at} is cut off")
            size, offset, time, data, headers, message_id, content_type = read(body, at)
            ends = start + size
            if ends > end or data + headers + message_id + content_type > size:
                raise ContractError(f"pack: the publication at byte {at} is longer than its place")
            if offset < 1:
                raise ContractError(f"pack: the publication at byte {at} carries no position")
            at = start + data
            table, content = NO_HEADERS, ""
            middle = at + message_id
            if headers or content_type:
                typed = middle + content_type
                content = body[middle:typed].decode()
                table = _headers(body, typed, typed + headers)
            found.append(Packed(offset, time, body[start:at], table, body[at:middle].decode(), content))
            at = ends
        if len(found) != self.size:
            raise ContractError(
                f"pack: {len(found)} publications of {self.key[:64]!r} where {self.size} were announced"
            )
        return found


def read_pack(body: bytes) -> list[Run]:
    """Return the runs of a pack, their publications unread.

    Raises UnknownMessageError for a newer version, ContractError for anything else that is wrong.
    """
    if len(body) < _PACK.size:
        raise ContractError("pack: shorter than its head")
    version, more = _PACK.unpack_from(body)
    if version != _VERSION:
        raise UnknownMessageError(f"version {version} of a pack is not known here")
    at, end = _PACK.size + more, len(body)
    if at >= end:
        raise ContractError("pack: there is nothing in it")
    runs: list[Run] = []
    while at < end:
        start = at + _RUN.size
        if start > end:
            raise ContractError(f"pack: the run at byte {at} is cut off")
        size, publications, head, key, epoch = _RUN.unpack_from(body, at)
        ends, first = start + size, start + head
        if ends > end or head > size or key + epoch > head:
            raise ContractError(f"pack: the run at byte {at} is longer than its place")
        if not (key and epoch and 0 < publications <= (ends - first) // _PUBLICATION.size):
            raise ContractError(f"pack: the run at byte {at} names no channel, epoch or number of publications")
        middle = start + key
        try:
            texts = body[start:middle].decode(), body[middle : middle + epoch].decode()
        except UnicodeDecodeError as error:
            raise ContractError(f"pack: the run at byte {at} has a channel or epoch that is no UTF-8") from error
        runs.append(Run(*texts, publications, body, first, ends))
        at = ends
    return runs


def _headers(body: bytes, at: int, end: int) -> Mapping[str, str]:
    headers: dict[str, str] = {}
    while at < end:
        start = at + _HEADER.size
        if start > end:
            raise ContractError(f"pack: the header at byte {at} is cut off")
        name, value = _HEADER.unpack_from(body, at)
        middle = start + name
        if middle + value > end:
            raise ContractError(f"pack: the header at byte {at} is longer than its place")
        at = middle + value
        headers[body[start:middle].decode()] = body[middle:at].decode()
    return headers


def pack_publication(publication: Packed) -> bytes:
    """Return a publication as it goes into a pack. Raises ContractError for what does not fit one."""
    offset, time, data, headers, message_id, content_type = publication
    try:
        named, typed = message_id.encode(), content_type.encode()
        table = b"".join(map(_packed_header, headers.items())) if headers else b""
        size = len(data) + len(named) + len(typed) + len(table)
        fixed = _PUBLICATION.pack(size, offset, time, len(data), len(table), len(named), len(typed))
    except (struct.error, UnicodeEncodeError) as error:
        raise ContractError(f"a publication that fits no pack: {error}") from error
    return b"".join((fixed, data, named, typed, table))


def _packed_header(header: tuple[str, str]) -> bytes:
    name, value = header[0].encode(), header[1].encode()
    return _HEADER.pack(len(name), len(value)) + name + value


class PackWriter:
    """Gathers packed publications until a pack is full. Those of a channel keep their order."""

    def __init__(self, *, max_publications: int = MAX_PACK_PUBLICATIONS, max_bytes: int = MAX_PACK_BYTES) -> None:
        self._max_publications, self._max_bytes = max_publications, max_bytes
        self._runs: dict[tuple[str, str], list[bytes]] = {}
        self._size = _PACK.size
        self._count = 0

    def add(self, key: str, epoch: str, packed: bytes) -> bool:
        """Add one to its channel's run; returns False, having added nothing, if the pack is full.

        The first one always fits.
        """
        size = self._size + len(packed)
        if (key, epoch) not in self._runs:
            size += _RUN.size + len(key.encode()) + len(epoch.encode())
        if self._count and (self._count >= self._max_publications or size > self._max_bytes):
            return False
        self._runs.setdefault((key, epoch), []).append(packed)
        self._size, self._count = size, self._count + 1
        return True

    def body(self) -> bytes:
        """Return the message's body; keys and epochs are at most 255 bytes long."""
        parts = [_PACK.pack(_VERSION, 0)]
        for (key, epoch), publications in self._runs.items():
            named, dated = key.encode(), epoch.encode()
            head = named + dated
            size = len(head) + sum(map(len, publications))
            parts += (_RUN.pack(size, len(publications), len(head), len(named), len(dated)), head, *publications)
        return b"".join(parts)
