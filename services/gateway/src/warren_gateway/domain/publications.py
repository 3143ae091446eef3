"""Publications as the gateway passes them on, whatever encoding they will leave in."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from warren_gateway.domain.client_info import checked_info
from warren_shared.contracts.envelope import ContractError
from warren_shared.contracts.history import StoredPublication
from warren_shared.contracts.pack import Packed
from warren_shared.contracts.publication import Header, check_payload, tags_of

_BINARY: Final = "binary"


@dataclass(slots=True)
class Publication:
    """What clients are shown of a publication. Not to be changed; not frozen because one is made for each arrival."""

    data: bytes
    """The payload as it came."""
    offset: int = 0
    """Its place in the stream of a durable channel."""
    info: bytes | None = None
    """The publisher's ClientInfo in JSON."""
    tags: Mapping[str, str] | None = None
    time: int = 0
    """Unix milliseconds at which it was stored."""
    binary: bool = False
    """Whether the payload may be something else than JSON."""
    trace: object | None = None
    """The sampled trace context it came with."""
    channel: str = ""
    """The channel it was published on, where that is not who is shown it subscribed to: a pattern is."""
    previous: bytes | None = None
    """The payload of the publication before it, where it may be shown as a delta against that."""
    _encoded: dict[object, bytes] | None = field(default=None, init=False, compare=False, repr=False)

    @property
    def size(self) -> int:
        """Bytes that it keeps, about."""
        tags = sum(len(name) + len(value) for name, value in self.tags.items()) if self.tags else 0
        return len(self.data) + len(self.info or b"") + tags

    def once(self, encoding: object, encode: Callable[[Publication], bytes]) -> bytes:
        """Return what ``encode`` makes of it, for everybody who speaks ``encoding`` the same object."""
        if self._encoded is None:
            self._encoded = {}
        encoded = self._encoded.get(encoding)
        if encoded is None:
            encoded = self._encoded[encoding] = encode(self)
        return encoded

    @property
    def is_json(self) -> bool:
        """Whether a client that speaks JSON can be shown it."""
        if not self.binary:
            return True
        try:
            check_payload(self.data, "json")
        except ContractError:
            return False
        return True


def live_publication(
    data: bytes, headers: Mapping[str, object], data_format: str, trace: object | None = None
) -> Publication:
    """Take what was published on a live channel, where any backend may publish.

    Raises ContractError if it is not what the namespace asks for. A position among the headers is
    ignored: a live channel has none.
    """
    check_payload(data, data_format)
    binary = data_format == _BINARY
    if not headers:
        return Publication(data, 0, None, None, 0, binary, trace)
    return Publication(data, 0, _info_of(headers), tags_of(headers) or None, 0, binary, trace)


def durable_publication(
    data: bytes, headers: Mapping[str, object], data_format: str, trace: object | None = None
) -> tuple[str, Publication]:
    """Take what history delivers on a durable channel; returns its epoch too.

    Raises ContractError if it carries no position. History has checked the payload; anything else
    that cannot be used is left out, because leaving out the publication would make a gap.
    """
    offset, epoch, time = headers.get(Header.OFFSET), headers.get(Header.EPOCH), headers.get(Header.TIME)
    if type(offset) is not int or offset < 1 or not isinstance(epoch, str) or not epoch:
        raise ContractError("delivery on a durable channel carries no position")
    packed = Packed(offset, time if type(time) is int else 0, data)
    return epoch, _numbered(packed, headers, data_format, trace)


def packed_publication(packed: Packed, data_format: str, trace: object | None = None) -> Publication:
    """Take what history delivers in a pack, as ``durable_publication`` does."""
    return _numbered(packed, packed.headers, data_format, trace)


def _numbered(packed: Packed, headers: Mapping[str, object], data_format: str, trace: object | None) -> Publication:
    binary = data_format == _BINARY
    if not headers:
        return Publication(packed.data, packed.offset, None, None, packed.time, binary, trace)
    info: bytes | None = None
    tags: Mapping[str, str] | None = None
    with suppress(ContractError):
        info, tags = _info_of(headers), tags_of(headers) or None
    return Publication(packed.data, packed.offset, info, tags, packed.time, binary, trace)


def stored_publication(stored: StoredPublication) -> Publication:
    """Take what was read from history."""
    data = stored.data.encode()
    if stored.binary:
        try:
            data = b64decode(data, validate=True)
        except Base64Error:
            data = b""
    try:
        info = None if stored.info is None else checked_info(stored.info)
    except ContractError:
        info = None
    return Publication(data, stored.offset, info, stored.tags or None, stored.time, stored.binary)


def _info_of(headers: Mapping[str, object]) -> bytes | None:
    info = headers.get(Header.INFO)
    return None if info is None else checked_info(info)
