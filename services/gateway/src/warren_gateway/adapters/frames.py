"""WebSocket frames (RFC 6455 section 5), without I/O: reading a client's, writing a server's.

aiohttp does the handshake; from then on these few functions take its place. Its WebSocket object
keeps two tasks, the request and several buffers alive for each connection, about 14 KiB against 2,
and would want an await for each message sent.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Final

_FIN: Final = 0x80
_MASKED: Final = 0x80
_RESERVED_BITS: Final = 0x70
RSV1: Final = 0x40
"""Marks the first frame of a compressed message (RFC 7692 section 6)."""
_MAX_CONTROL_PAYLOAD: Final = 125
_COMPACT_AT: Final = 65_536


class Opcode(IntEnum):
    """What a frame is; from 8 on it is a control frame."""

    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


_OPCODES: Final = frozenset(Opcode)
_BEGINNINGS: Final = frozenset({Opcode.TEXT, Opcode.BINARY})


class CloseCode(IntEnum):
    """Codes of RFC 6455 section 7.4.1 that this side uses."""

    NORMAL = 1000
    PROTOCOL_ERROR = 1002
    INVALID_DATA = 1007
    MESSAGE_TOO_BIG = 1009


_REGISTERED_CODES: Final = frozenset({1000, 1001, 1002, 1003, *range(1007, 1015)})
"""IANA's registry without those that never stand in a frame: 1005, 1006 and 1015."""


class FrameError(Exception):
    """What came is against the RFC, or too big: the connection must be closed with ``code``."""

    def __init__(self, code: CloseCode, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


def frame(opcode: int, payload: bytes) -> bytes:
    """Return one whole, unmasked frame. ``opcode`` may bear RSV1."""
    length = len(payload)
    if length < 126:
        return bytes((_FIN | opcode, length)) + payload
    if length < 65_536:
        return b"%c\x7e%b%b" % (_FIN | opcode, length.to_bytes(2, "big"), payload)
    return b"%c\x7f%b%b" % (_FIN | opcode, length.to_bytes(8, "big"), payload)


def close_frame(code: int, reason: str) -> bytes:
    """Return a close frame; a reason that does not fit is cut."""
    text = reason.encode()[: _MAX_CONTROL_PAYLOAD - 2].decode(errors="ignore")
    return frame(Opcode.CLOSE, code.to_bytes(2, "big") + text.encode())


def check_close(payload: bytes) -> None:
    """Raise FrameError unless a client's close frame is one it may send (RFC 6455 section 7.4)."""
    if not payload:
        return
    if len(payload) == 1:
        raise FrameError(CloseCode.PROTOCOL_ERROR, "close code cut short")
    code = int.from_bytes(payload[:2], "big")
    if code not in _REGISTERED_CODES and not 3000 <= code <= 4999:
        raise FrameError(CloseCode.PROTOCOL_ERROR, "close code may not be sent")
    try:
        payload[2:].decode()
    except UnicodeDecodeError as error:
        raise FrameError(CloseCode.INVALID_DATA, "close reason is no UTF-8") from error


class FrameReader:
    """Finds a client's messages in what it sends. Holds one message at most, besides what was fed."""

    __slots__ = ("_at", "_buffer", "_compressed", "_inflate", "_limit", "_message", "_opcode")

    def __init__(self, limit: int, inflate: Callable[[bytes, int], bytes] | None = None) -> None:
        """``limit`` is the size of the largest message in bytes. ``inflate`` returns a compressed message of at most so
        many bytes; None: messages may not be compressed.
        """
        self._limit, self._inflate = limit, inflate
        self._compressed = False
        """Whether the message that has begun is."""
        self._buffer: bytes | bytearray = b""
        self._at = 0
        self._message: bytearray | None = None
        """The fragments of a message that has begun."""
        self._opcode = 0

    @property
    def empty(self) -> bool:
        """Whether everything that was fed has been taken."""
        return not self._buffer

    def feed(self, data: bytes) -> None:
        """Take bytes from the socket."""
        if not self._buffer:
            self._buffer = data
            return
        if isinstance(self._buffer, bytes):
            self._buffer = bytearray(self._buffer)
        if self._at:
            del self._buffer[: self._at]
            self._at = 0
        self._buffer += data

    def next(self) -> tuple[int, bytes] | None:
        """Return the next whole message or control frame as (opcode, payload), None if there is none.

        Raises FrameError, after which the reader is of no more use.
        """
        while (found := self._next_frame()) is not None:
            final, opcode, payload = found
            if opcode >= Opcode.CLOSE:
                return opcode, payload
            if final and opcode and self._message is None:
                return opcode, self._whole(payload)
            message = self._fragment(opcode, payload)
            if final:
                self._message = None
                return self._opcode, self._whole(bytes(message))
        return None

    def _whole(self, payload: bytes) -> bytes:
        if not self._compressed or self._inflate is None:
            return payload
        return self._inflate(payload, self._limit)

    def _fragment(self, opcode: int, payload: bytes) -> bytearray:
        if (opcode == Opcode.CONTINUATION) != (self._message is not None):
            raise FrameError(CloseCode.PROTOCOL_ERROR, "fragments out of order")
        if self._message is None:
            self._message, self._opcode = bytearray(), opcode
        self._message += payload
        return self._message

    def _next_frame(self) -> tuple[bool, int, bytes] | None:
        buffer, at = self._buffer, self._at
        available = len(buffer) - at
        if available < 2:
            return None
        first, second = buffer[at], buffer[at + 1]
        opcode, length, header = first & 0x0F, second & 0x7F, 2
        if length >= 126:
            header = 4 if length == 126 else 10
            if available < header:
                return None
            length = int.from_bytes(buffer[at + 2 : at + header], "big")
        self._check(first, second, opcode, length)
        start, end = at + header + 4, at + header + 4 + length
        if len(buffer) < end:
            return None
        payload = _unmask(bytes(buffer[start:end]), bytes(buffer[start - 4 : start]))
        self._taken(end)
        return bool(first & _FIN), opcode, payload

    def _check(self, first: int, second: int, opcode: int, length: int) -> None:
        """Look at a header before its payload is waited for."""
        reserved = first & _RESERVED_BITS
        begins = opcode in _BEGINNINGS and self._message is None
        if (reserved and not (reserved == RSV1 and begins and self._inflate is not None)) or opcode not in _OPCODES:
            raise FrameError(CloseCode.PROTOCOL_ERROR, "reserved bits or opcode")
        if begins:
            self._compressed = bool(reserved)
        if not second & _MASKED:
            raise FrameError(CloseCode.PROTOCOL_ERROR, "frame is not masked")
        if opcode >= Opcode.CLOSE:
            if not first & _FIN or length > _MAX_CONTROL_PAYLOAD:
                raise FrameError(CloseCode.PROTOCOL_ERROR, "control frame too long or fragmented")
        elif length + len(self._message or b"") > self._limit:
            raise FrameError(CloseCode.MESSAGE_TOO_BIG, "message size limit exceeded")

    def _taken(self, end: int) -> None:
        self._at = end
        if end == len(self._buffer):
            self._buffer, self._at = b"", 0
        elif end > _COMPACT_AT:
            # Not at every frame: many small ones in one read would be copied over and over.
            self._buffer, self._at = self._buffer[end:], 0


def _unmask(payload: bytes, mask: bytes) -> bytes:
    length = len(payload)
    key = (mask * (length // 4 + 1))[:length]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(key, "little")).to_bytes(length, "little")
