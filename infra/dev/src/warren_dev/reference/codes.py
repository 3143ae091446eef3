"""docs/reference/codes.md: what a client may be told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from warren_dev.reference.markdown import code, page, table
from warren_shared.contracts.codes import Disconnect, Disconnects, ErrorCode, Errors, Unsubscribe, Unsubscribes

_INTRODUCTION = """
The codes and reasons are those of the Centrifuge client protocol, so the SDKs know what to do.
[docs/client-protocol.md](../client-protocol.md) says when each is used.
"""
_ERRORS_TEXT = """
An error answers one command; the connection lives on. A temporary error is worth another try; the SDKs try again by
themselves where the operation is theirs (connect, subscribe, refresh). Error 109 makes them ask for a new token first.
"""
_DISCONNECTS_TEXT = """
Over WebSocket the code and reason are those of the close frame. An SDK reconnects after 3000 to 3499, with a random
and growing pause, and stays away after 3500 to 3999. 4000 to 4499 and 4500 to 4999 are the application's, likewise.
"""
_UNSUBSCRIBES_TEXT = """
Sent as a push when the server ends one subscription. From 2500 on the SDK subscribes again at once, with recovery
where the channel has it; below, the subscription has ended.
"""


def codes_page() -> str:
    """Return the page."""
    return page(
        "Codes",
        _INTRODUCTION,
        f"## Errors\n{_ERRORS_TEXT}",
        table(["code", "message", "temporary"], _errors()),
        f"## Disconnects\n{_DISCONNECTS_TEXT}",
        table(["code", "reason", "SDK reconnects"], _disconnects()),
        f"## Unsubscribes\n{_UNSUBSCRIBES_TEXT}",
        table(["code", "reason", "SDK resubscribes"], _unsubscribes()),
    )


def _errors() -> Iterator[Sequence[str]]:
    for value in vars(Errors).values():
        if isinstance(value, ErrorCode):
            yield code(value.code), value.message, "yes" if value.temporary else ""


def _disconnects() -> Iterator[Sequence[str]]:
    for value in vars(Disconnects).values():
        if isinstance(value, Disconnect):
            yield code(value.code), value.reason, "yes" if value.reconnect else "no"


def _unsubscribes() -> Iterator[Sequence[str]]:
    for value in vars(Unsubscribes).values():
        if isinstance(value, Unsubscribe):
            yield code(value.code), value.reason, "yes" if value.code >= 2500 else "no"
