"""Basic properties in a content header (AMQP 0-9-1 sections 2.3.5.2 and 4.2.6.1)."""

from __future__ import annotations

import struct
from types import MappingProxyType
from typing import Any, Final

from warren_shared.contracts.publication import UNREADABLE_HEADERS
from warren_shared.messaging.lane.tables import LazyHeaders, encode_table
from warren_shared.messaging.port import NO_HEADERS, Headers, Outgoing

_CONTENT_TYPE, _CONTENT_ENCODING, _HEADERS, _DELIVERY_MODE, _PRIORITY = 0x8000, 0x4000, 0x2000, 0x1000, 0x0800
_CORRELATION_ID, _REPLY_TO, _EXPIRATION, _MESSAGE_ID, _TIMESTAMP = 0x0400, 0x0200, 0x0100, 0x0080, 0x0040
_TYPE, _USER_ID, _APP_ID, _CLUSTER_ID, _MORE_FLAGS = 0x0020, 0x0010, 0x0008, 0x0004, 0x0003
_TEXT, _TABLE = -1, -2
_LAYOUT: Final = (
    (_CONTENT_TYPE, _TEXT),
    (_CONTENT_ENCODING, _TEXT),
    (_HEADERS, _TABLE),
    (_DELIVERY_MODE, 1),
    (_PRIORITY, 1),
    (_CORRELATION_ID, _TEXT),
    (_REPLY_TO, _TEXT),
    (_EXPIRATION, _TEXT),
    (_MESSAGE_ID, _TEXT),
    (_TIMESTAMP, 8),
    (_TYPE, _TEXT),
    (_USER_ID, _TEXT),
    (_APP_ID, _TEXT),
    (_CLUSTER_ID, _TEXT),
)
"""The properties in the order in which they follow their flags: a text, a table, or so many bytes."""
_CACHED_PLANS: Final = 256
_plans: dict[int, tuple[tuple[int, int | None], ...]] = {}
_FLAGS, _LENGTH = struct.Struct(">H"), struct.Struct(">I")
_LONGEST_SHORT_STRING: Final = 255
_CACHED_TYPES: Final = 64
_content_types: dict[str, bytes] = {}


Properties = tuple[Headers, str | None, str | None, str | None, str | None, str | None]
"""What a delivery tells of them: headers, message_id, type, content_type, correlation_id, reply_to."""
_PLACES: Final = {_MESSAGE_ID: 1, _TYPE: 2, _CONTENT_TYPE: 3, _CORRELATION_ID: 4, _REPLY_TO: 5}
_UNREADABLE: Final[Properties] = (MappingProxyType({UNREADABLE_HEADERS: True}), None, None, None, None, None)


def short_string(text: str) -> bytes:
    """Encode a short string. Raises ValueError beyond 255 bytes."""
    raw = text.encode()
    if len(raw) > _LONGEST_SHORT_STRING:
        raise ValueError(f"a short string holds at most {_LONGEST_SHORT_STRING} bytes")
    return bytes((len(raw),)) + raw


def encode_properties(message: Outgoing) -> bytes:
    """Return a message's flags and properties; raises as ``encode_table`` does."""
    flags = _CONTENT_TYPE | _DELIVERY_MODE
    parts = [b"", _content_types.get(message.content_type) or _encode_content_type(message.content_type)]
    if message.headers:
        flags |= _HEADERS
        parts.append(encode_table(message.headers))
    parts.append(b"\x02" if message.persistent else b"\x01")
    for flag, text in (
        (_CORRELATION_ID, message.correlation_id),
        (_REPLY_TO, message.reply_to),
        (_EXPIRATION, None if message.expiration_ms is None else str(message.expiration_ms)),
        (_MESSAGE_ID, message.message_id),
        (_TYPE, message.type),
    ):
        if text is not None:
            flags |= flag
            parts.append(short_string(text))
    parts[0] = _FLAGS.pack(flags)
    return b"".join(parts)


def _encode_content_type(content_type: str) -> bytes:
    encoded = short_string(content_type)
    if len(_content_types) < _CACHED_TYPES:
        _content_types[content_type] = encoded
    return encoded


def decode_properties(content: bytes) -> Properties:
    """Return the properties in a content header, of which ``content`` is the flags and what follows them. Never raises.

    Text that is no UTF-8 comes escaped, so that different texts stay different. What cannot be read is the single
    header UNREADABLE_HEADERS: one message must not end a connection.
    """
    try:
        return _decode(content)
    except (ValueError, IndexError, struct.error):
        return _UNREADABLE


def _decode(content: bytes) -> Properties:
    (flags,) = _FLAGS.unpack_from(content)
    if flags & _MORE_FLAGS:
        raise ValueError("there are no more than 14 properties")
    at = 2
    read: list[Any] = [NO_HEADERS, None, None, None, None, None]
    for layout, place in _plans.get(flags) or _plan(flags):
        if layout == _TEXT:
            start = at + 1
            at = start + content[at]
            if place is not None:
                read[place] = content[start:at].decode("utf-8", "backslashreplace")
        elif layout == _TABLE:
            (length,) = _LENGTH.unpack_from(content, at)
            start = at + 4
            at = start + length
            if length:
                read[0] = LazyHeaders(content[start:at])
        else:
            at += layout
    if at != len(content):
        raise ValueError("the properties do not fill their frame")
    return tuple(read)


def _plan(flags: int) -> tuple[tuple[int, int | None], ...]:
    """Return how what follows a word of flags is laid out, and its place in Properties; publishers use few words."""
    plan = tuple((layout, _PLACES.get(flag)) for flag, layout in _LAYOUT if flags & flag)
    if len(_plans) < _CACHED_PLANS:
        _plans[flags] = plan
    return plan
