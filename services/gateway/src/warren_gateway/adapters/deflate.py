"""permessage-deflate (RFC 7692), without context takeover in either direction.

Each message is compressed by itself, so that one compressed frame can be written to all who have the extension, and
a connection keeps no window of 32 KiB. The price is that a message is compressed against itself alone.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence
from typing import Final

from warren_gateway.adapters.frames import RSV1, CloseCode, FrameError, frame

NAME: Final = "permessage-deflate"
SMALLEST: Final = 256
"""Bytes below which a message is sent as it is: little to gain, and compressing takes tens of microseconds."""
_LEVEL: Final = 3
_WINDOW_BITS: Final = 15
_TAIL: Final = b"\x00\x00\xff\xff"
"""What a flush ends with; it is not sent (section 7.2.1)."""
_FLAGS: Final = ("server_no_context_takeover", "client_no_context_takeover")
_BITS: Final = re.compile(r"[89]|1[0-5]")
_PARAMETER: Final = re.compile(r'([-!#$%&\'*+.^_`|~\w]+)(?:\s*=\s*("?)([-!#$%&\'*+.^_`|~\w]+)\2)?')


def accept(offers: str) -> str | None:
    """Return what to answer to the client's ``Sec-WebSocket-Extensions``, None if none of its offers can be accepted.

    An offer that wants a smaller window of this side is declined: its frames could not be those of all others.
    """
    for name, parameters in _offers(offers):
        if name == NAME and parameters is not None and _acceptable(parameters):
            window = "; server_max_window_bits=15" if "server_max_window_bits" in parameters else ""
            return f"{NAME}; {'; '.join(_FLAGS)}{window}"
    return None


def deflated(opcode: int, payload: bytes) -> bytes:
    """Return one frame that holds the payload, compressed if that makes it smaller."""
    if len(payload) < SMALLEST:
        return frame(opcode, payload)
    compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, -_WINDOW_BITS)
    compressed = compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)
    if len(compressed) - len(_TAIL) >= len(payload):
        return frame(opcode, payload)
    return frame(RSV1 | opcode, compressed[: -len(_TAIL)])


def inflated(payload: bytes, limit: int) -> bytes:
    """Return what a message of at most ``limit`` bytes was compressed from; no more memory than that is taken.

    Raises FrameError 1009 for a larger one, 1007 for what was not compressed so.
    """
    inflater = zlib.decompressobj(-_WINDOW_BITS)
    try:
        message = inflater.decompress(payload + _TAIL, limit + 1)
    except zlib.error as error:
        raise FrameError(CloseCode.INVALID_DATA, "message cannot be inflated") from error
    if len(message) > limit:
        raise FrameError(CloseCode.MESSAGE_TOO_BIG, "message size limit exceeded")
    return message


def _offers(header: str) -> Iterator[tuple[str, dict[str, str] | None]]:
    """Yield the extensions of a header with their parameters, None for those that cannot be read."""
    for offer in header.split(","):
        name, *parameters = (part.strip() for part in offer.split(";"))
        yield name.lower(), _read(parameters)


def _read(parameters: Sequence[str]) -> dict[str, str] | None:
    read: dict[str, str] = {}
    for parameter in parameters:
        match = _PARAMETER.fullmatch(parameter)
        if match is None or match[1].lower() in read:
            return None
        read[match[1].lower()] = match[3] or ""
    return read


def _acceptable(parameters: dict[str, str]) -> bool:
    """Whether all parameters are known and their values legal (section 7.1)."""
    for name, value in parameters.items():
        if name in _FLAGS:
            legal = not value
        elif name == "client_max_window_bits":
            legal = not value or _BITS.fullmatch(value) is not None
        else:
            legal = name == "server_max_window_bits" and value == str(_WINDOW_BITS)
        if not legal:
            return False
    return True
