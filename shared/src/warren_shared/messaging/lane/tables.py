"""Field tables: encoded at once, decoded only when somebody looks.

Types are those RabbitMQ reads and writes (RabbitMQ: AMQP 0-9-1 Errata, Field types); the rare ones go
through pamqp. What is no valid table is read as the single header UNREADABLE_HEADERS, for the
broker passes on what publishers sent, and one message must not end a connection.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Final, cast

from pamqp import decode, encode

from warren_shared.contracts.publication import UNREADABLE_HEADERS
from warren_shared.messaging.port import Headers, HeaderValue

LONGEST_NAME: Final = 128
"""Bytes of a field's name (AMQP 0-9-1 section 4.2.5.5)."""

_INT32, _INT64, _LENGTH, _DOUBLE = (struct.Struct(code) for code in (">i", ">q", ">I", ">d"))
_INT32_RANGE: Final = range(-(2**31), 2**31)
_CACHED_NAMES: Final = 1024
_Unpack = Callable[[bytes, int], tuple[int | float | bool, ...]]
_FIXED: Final[dict[int, tuple[int, _Unpack]]] = {
    ord(code): (layout.size, layout.unpack_from)
    for code, layout in {
        "t": struct.Struct(">?"),
        "b": struct.Struct(">b"),
        "B": struct.Struct(">B"),
        "s": struct.Struct(">h"),
        "u": struct.Struct(">H"),
        "I": _INT32,
        "i": _LENGTH,
        "l": _INT64,
        "L": _INT64,
        "f": struct.Struct(">f"),
        "d": _DOUBLE,
    }.items()
}
_STRING, _VOID = ord("S"), ord("V")
_names: dict[str, bytes] = {}


def encode_table(headers: Mapping[str, HeaderValue]) -> bytes:
    """Return a field table with its length before it.

    Raises TypeError, ValueError, OverflowError or struct.error for what no table can hold.
    """
    parts = []
    for name, value in headers.items():
        parts.append(_names.get(name) or _encode_name(name))
        parts.append(_encode_value(value))
    fields = b"".join(parts)
    return _LENGTH.pack(len(fields)) + fields


def _encode_name(name: str) -> bytes:
    raw = name.encode()
    if len(raw) > LONGEST_NAME:
        raise ValueError(f"the header's name is longer than {LONGEST_NAME} bytes")
    encoded = bytes((len(raw),)) + raw
    if len(_names) < _CACHED_NAMES:
        _names[name] = encoded
    return encoded


def _encode_value(value: HeaderValue) -> bytes:
    kind = type(value)
    if kind is str:
        raw = cast("str", value).encode()
        return b"S" + _LENGTH.pack(len(raw)) + raw
    if kind is int:
        number = cast("int", value)
        return b"I" + _INT32.pack(number) if number in _INT32_RANGE else b"l" + _INT64.pack(number)
    if kind is float:
        return b"d" + _DOUBLE.pack(cast("float", value))
    if kind is bytes:
        return b"x" + _LENGTH.pack(len(cast("bytes", value))) + cast("bytes", value)
    return encode.encode_table_value(cast("str", value))


def decode_table(fields: bytes) -> dict[str, HeaderValue]:
    """Return a field table; ``fields`` is without its length. Never raises."""
    try:
        return _decode(fields)
    except (ValueError, IndexError, OverflowError, OSError, RecursionError, struct.error, TypeError):
        return {UNREADABLE_HEADERS: True}


def _decode(fields: bytes) -> dict[str, HeaderValue]:
    table: dict[str, HeaderValue] = {}
    at, end = 0, len(fields)
    while at < end:
        start = at + 1
        at = start + fields[at]
        name, kind = fields[start:at].decode(), fields[at]
        at += 1
        if kind == _STRING:
            (length,) = _LENGTH.unpack_from(fields, at)
            start = at + 4
            at = start + length
            table[name] = _text(fields[start:at])
        elif kind in _FIXED:
            size, unpack = _FIXED[kind]
            (table[name],) = unpack(fields, at)
            at += size
        elif kind == _VOID:
            table[name] = None
        else:
            used, value = decode.embedded_value(fields[at - 1 :])
            table[name] = cast("HeaderValue", value)
            at += used - 1
    if at != end:
        raise ValueError("a field is longer than its table")
    return table


def _text(raw: bytes) -> str | bytes:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


class LazyHeaders(Headers):
    """Headers that are decoded when first looked at."""

    __slots__ = ("_fields", "_table")

    def __init__(self, fields: bytes) -> None:
        """Take a field table without its length."""
        self._fields = fields
        self._table: dict[str, HeaderValue] | None = None

    @property
    def table(self) -> dict[str, HeaderValue]:
        """The headers, decoded once."""
        if self._table is None:
            self._table = decode_table(self._fields)
        return self._table

    def __getitem__(self, name: str) -> HeaderValue:
        return self.table[name]

    def get(self, name: str, default: HeaderValue = None) -> HeaderValue:  # type: ignore[override]  # no overloads
        """Return a header's value, or the default."""
        return self.table.get(name, default)

    def __iter__(self) -> Iterator[str]:
        return iter(self.table)

    def __len__(self) -> int:
        return len(self.table)

    def __bool__(self) -> bool:
        return bool(self._fields)

    def __contains__(self, name: object) -> bool:
        return name in self.table

    def __repr__(self) -> str:
        return f"LazyHeaders({self.table!r})"
