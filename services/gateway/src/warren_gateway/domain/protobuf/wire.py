"""Protobuf's wire format as far as messages are put together from parts that are encoded already.

Messages that follow one another, in a frame or in a stream, each come behind their length.
"""

from __future__ import annotations

from typing import Final

_BYTES: Final = 2
"""The wire type of whatever comes behind its length."""
_LONGEST_VARINT: Final = 5
"""Of a length, which is below 2**32."""


class WireError(ValueError):
    """What came is cut short, or no length."""


def varint(number: int) -> bytes:
    """Return an unsigned number as a varint."""
    if number < 0x80:
        return bytes((number,))
    encoded = bytearray()
    while number >= 0x80:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def delimited(message: bytes) -> bytes:
    """Return a message behind its length."""
    return varint(len(message)) + message


def field(number: int, content: bytes) -> bytes:
    """Return a field of type message, string or bytes. ``number`` is 15 at most."""
    return b"%c%b%b" % (number << 3 | _BYTES, varint(len(content)), content)


def next_message(frame: bytes, at: int) -> tuple[bytes, int]:
    """Return the message whose length stands at ``at``, and where the next one begins. Raises WireError."""
    length = 0
    for place, octet in enumerate(frame[at : at + _LONGEST_VARINT]):
        length |= (octet & 0x7F) << 7 * place
        if octet < 0x80:
            start = at + place + 1
            end = start + length
            if end > len(frame):
                raise WireError("message is cut short")
            return frame[start:end], end
    raise WireError("no length, or none of a message")
