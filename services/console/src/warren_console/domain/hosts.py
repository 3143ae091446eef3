"""Which Host headers the console answers: the defence against DNS rebinding.

A page of another site can point its own name at 127.0.0.1 and then talk to a local server as if to
itself; the Host header still carries that name. See RFC 9110 section 7.2.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from ipaddress import ip_address
from typing import Final

LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})

_LEGAL: Final = re.compile(r"[a-z0-9._:-]{1,253}")
"""Names and addresses; anything else has no business in a header the answer may repeat."""


def is_loopback(address: str) -> bool:
    """Whether a listening address reaches this machine alone."""
    if address == "localhost":
        return True
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


def host_name(header: str) -> str:
    """Return the name of a Host header, lower case, without port, brackets or a trailing dot."""
    name = header.strip().lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    if name.count(":") == 1:
        name = name.partition(":")[0]
    return name.removesuffix(".")


def host_allowed(header: str, allowed: Collection[str]) -> bool:
    """Whether a request with this Host header is answered; an empty collection admits every host."""
    name = host_name(header)
    return bool(_LEGAL.fullmatch(name)) and (not allowed or name in allowed)
