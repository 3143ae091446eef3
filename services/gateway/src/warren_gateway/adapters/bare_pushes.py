"""Unidirectional clients: they send one bare connect request, and are told bare pushes (the client protocol, JSON).

What others are told is cut to that, so a publication is encoded for them and for everybody else but once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

_WRAPPER: Final = len(b'{"push":')
_CONNECT_WRAPPER: Final = len(b'{"id":1,')
_NO_COMMAND: Final = b""


def connect_command(request: bytes) -> bytes:
    """Return the command that a bare connect request stands for; what is no JSON object becomes no command."""
    if not request.strip():
        request = b"{}"
    try:
        value = bytes(msgspec.json.decode(request, type=msgspec.Raw)).strip()
        msgspec.json.decode(value, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return _NO_COMMAND
    # In JSON a line feed is white space, for none may stand in a string; in a message it would end the command.
    return b'{"id":1,"connect":%b}' % value.replace(b"\n", b" ")


def bare(messages: Sequence[bytes]) -> list[bytes]:
    """Return messages as the pushes they hold; a ping is the same in both. There is no other reply than to connect."""
    return [_bare(message) for message in messages]


def _bare(message: bytes) -> bytes:
    if message.startswith(b'{"push":'):
        return message[_WRAPPER:-1]
    if message.startswith(b'{"id":1,'):
        return b"{" + message[_CONNECT_WRAPPER:]
    return message
