"""Field tables: encoded at once, decoded as far as somebody looks.

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

LONGEST_NAME: Final = 255
"""Bytes of a field's name. AMQP 0-9-1 section 4.2.5.5 says 128, RabbitMQ takes what a short string holds; and what it
brought here can be sent on.
"""

_INT32, _INT64, _LENGTH, _DOUBLE = (struct.Struct(code) for code in (">i", ">q", ">I", ">d"))
_TAGGED_LENGTH, _TAGGED_INT32, _TAGGED_INT64 = (struct.Struct(code) for code in (">BI", ">ci", ">cq"))
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
_read_names: dict[bytes, str] = {}
_UNREADABLE_AS: Final = (ValueError, IndexError, OverflowError, OSError, RecursionError, struct.error, TypeError)
"""What decoding a broken table may raise."""


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
        return _TAGGED_LENGTH.pack(_STRING, len(raw)) + raw
    if kind is int:
        number = cast("int", value)
        return _TAGGED_INT32.pack(b"I", number) if number in _INT32_RANGE else _TAGGED_INT64.pack(b"l", number)
    if kind is float:
        return b"d" + _DOUBLE.pack(cast("float", value))
    if kind is bytes:
        return b"x" + _LENGTH.pack(len(cast("bytes", value))) + cast("bytes", value)
    return encode.encode_table_value(cast("str", value))


def decode_table(fields: bytes) -> dict[str, HeaderValue]:
    """Return a field table; ``fields`` is without its length. Never raises."""
    return LazyHeaders(fields).table


def _decode(fields: bytes, at: int, table: dict[str, HeaderValue], wanted: str | None) -> int:
    """Read fields into ``table`` until one is called ``wanted``, or to the end; returns where the next begins.

    Of fields of one name the first counts, so that what was read stays true.
    """
    end, name = len(fields), None
    while at < end and (name is None or name != wanted):
        after = at + 1 + fields[at]
        raw = fields[at:after]
        name = _read_names.get(raw) or _read_name(raw)
        kind, at = fields[after], after + 1
        if kind == _STRING:
            start = at + 4
            at = start + _LENGTH.unpack_from(fields, at)[0]
            value: HeaderValue = _text(fields[start:at])
        elif kind in _FIXED:
            size, unpack = _FIXED[kind]
            (value,) = unpack(fields, at)
            at += size
        elif kind == _VOID:
            value = None
        else:
            used, other = decode.embedded_value(fields[after:])
            value = cast("HeaderValue", other)
            at += used - 1
        if at > end:
            raise ValueError("a field is longer than its table")
        table.setdefault(name, value)
    return at


def _read_name(raw: bytes) -> str:
    name = raw[1:].decode()
    if len(_read_names) >= _CACHED_NAMES:
        _read_names.clear()
    _read_names[raw] = name
    return name


def _text(raw: bytes) -> str | bytes:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


class LazyHeaders(Headers):
    """Headers that are decoded as far as somebody looked, in the order in which they were written.

    Who asks for one that comes early does not pay for those behind it.
    """

    __slots__ = ("_at", "_fields", "_read")

    def __init__(self, fields: bytes) -> None:
        """Take a field table without its length."""
        self._fields = fields
        self._at = 0
        self._read: dict[str, HeaderValue] = {}

    @property
    def table(self) -> dict[str, HeaderValue]:
        """All headers."""
        self._advance(None)
        return self._read

    def _advance(self, wanted: str | None) -> None:
        if self._at >= len(self._fields):
            return
        try:
            self._at = _decode(self._fields, self._at, self._read, wanted)
        except _UNREADABLE_AS:
            self._at = len(self._fields)
            self._read.clear()
            self._read[UNREADABLE_HEADERS] = True

    def __getitem__(self, name: str) -> HeaderValue:
        if name not in self._read:
            self._advance(name)
        return self._read[name]

    def get(self, name: str, default: HeaderValue = None) -> HeaderValue:  # type: ignore[override]  # no overloads
        """Return a header's value, or the default."""
        if name not in self._read:
            self._advance(name)
        return self._read.get(name, default)

    def __iter__(self) -> Iterator[str]:
        return iter(self.table)

    def __len__(self) -> int:
        return len(self.table)

    def __bool__(self) -> bool:
        return bool(self._fields)

    def __contains__(self, name: object) -> bool:
        return name in self._read or name in self.table

    def __repr__(self) -> str:
        return f"LazyHeaders({self.table!r})"
