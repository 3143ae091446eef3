"""Basic properties in a content header (AMQP 0-9-1 sections 2.3.5.2 and 4.2.6.1)."""

from __future__ import annotations

import struct
from typing import Final

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
_plans: dict[int, tuple[tuple[int, int], ...]] = {}
_FLAGS, _LENGTH = struct.Struct(">H"), struct.Struct(">I")
_LONGEST_SHORT_STRING: Final = 255
_CACHED_TYPES: Final = 64
_content_types: dict[str, bytes] = {}


Properties = tuple[Headers, str | None, str | None, str | None, str | None, str | None]
"""What a delivery tells of them: headers, message_id, type, content_type, correlation_id, reply_to."""


def short_string(text: str) -> bytes:
    """Encode a short string. Raises ValueError beyond 255 bytes."""
    raw = text.encode()
    if len(raw) > _LONGEST_SHORT_STRING:
        raise ValueError(f"a short string holds at most {_LONGEST_SHORT_STRING} bytes")
    return bytes((len(raw),)) + raw


def encode_properties(message: Outgoing) -> bytes:
    """Return a message's flags and properties; raises as ``encode_table`` does."""
    flags = _CONTENT_TYPE | _DELIVERY_MODE
    parts = [_content_types.get(message.content_type) or _encode_content_type(message.content_type)]
    if message.headers:
        flags |= _HEADERS
        parts.append(encode_table(message.headers))
    parts.append(b"\x02" if message.persistent else b"\x01")
    if message.correlation_id is not None:
        flags |= _CORRELATION_ID
        parts.append(short_string(message.correlation_id))
    if message.reply_to is not None:
        flags |= _REPLY_TO
        parts.append(short_string(message.reply_to))
    if message.expiration_ms is not None:
        flags |= _EXPIRATION
        parts.append(short_string(str(message.expiration_ms)))
    if message.message_id is not None:
        flags |= _MESSAGE_ID
        parts.append(short_string(message.message_id))
    if message.type is not None:
        flags |= _TYPE
        parts.append(short_string(message.type))
    return _FLAGS.pack(flags) + b"".join(parts)


def _encode_content_type(content_type: str) -> bytes:
    encoded = short_string(content_type)
    if len(_content_types) < _CACHED_TYPES:
        _content_types[content_type] = encoded
    return encoded


def decode_properties(data: bytes, at: int, end: int) -> Properties:
    """Return the properties whose flags are at ``at``.

    Raises ValueError, IndexError or struct.error if they do not end at ``end``. Text that is no UTF-8 comes
    escaped, so that different texts stay different.
    """
    (flags,) = _FLAGS.unpack_from(data, at)
    at += 2
    headers: Headers = NO_HEADERS
    texts: dict[int, str] = {}
    for flag, layout in _plans.get(flags) or _plan(flags):
        if layout == _TEXT:
            start = at + 1
            at = start + data[at]
            texts[flag] = data[start:at].decode("utf-8", "backslashreplace")
        elif layout == _TABLE:
            (length,) = _LENGTH.unpack_from(data, at)
            start = at + 4
            at = start + length
            if length:
                headers = LazyHeaders(data[start:at])
        else:
            at += layout
    if at != end or flags & _MORE_FLAGS:
        raise ValueError("the properties do not fill their frame")
    find = texts.get
    return headers, find(_MESSAGE_ID), find(_TYPE), find(_CONTENT_TYPE), find(_CORRELATION_ID), find(_REPLY_TO)


def _plan(flags: int) -> tuple[tuple[int, int], ...]:
    """Return what follows a word of flags; publishers use few of them."""
    plan = tuple((flag, layout) for flag, layout in _LAYOUT if flags & flag)
    if len(_plans) < _CACHED_PLANS:
        _plans[flags] = plan
    return plan
