"""Reading what a publisher sent even where it is not what the AMQP client expects.

The client library decodes properties in its frame reader, where an error ends the connection: one
message with a Latin-1 ``message_id``, or a timestamp in microseconds, would be delivered again after
each reconnect and stop everything that shares the connection. The broker passes such values on
untouched, so a consumer must read them. Here the library's decoders are replaced, through its own
tables, by ones that always succeed; what handles the message then judges it.
"""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from typing import Final

from pamqp import decode
from pamqp.common import FieldTable

from warren_shared.contracts.publication import UNREADABLE_HEADERS

_LENGTH: Final = struct.Struct(">I")
_NO_TIME: Final = datetime.fromtimestamp(0, tz=UTC)


def short_string(value: bytes) -> tuple[int, str]:
    """Decode a short string; bytes that are no UTF-8 come escaped, so different ones stay different."""
    end = value[0] + 1
    return end, value[1:end].decode("utf-8", "backslashreplace")


def timestamp(value: bytes) -> tuple[int, datetime]:
    """Decode a timestamp; one no calendar reaches comes as 1970."""
    try:
        return decode.timestamp(value)
    except (ValueError, OverflowError, OSError):
        return 8, _NO_TIME


def table(value: bytes) -> tuple[int, FieldTable]:
    """Decode a header table; one that cannot be read comes as the single header UNREADABLE_HEADERS."""
    try:
        return decode.field_table(value)
    except (ValueError, OverflowError, OSError, RecursionError, IndexError):
        return _LENGTH.unpack_from(value)[0] + 4, {UNREADABLE_HEADERS: True}


def install() -> None:
    """Have the client library use these decoders."""
    decode.METHODS["shortstr"] = short_string
    decode.METHODS["timestamp"] = timestamp
    decode.METHODS["table"] = table
