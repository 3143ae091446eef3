"""Log lines about what clients do: bounded, because clients decide how many there are."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from warren_shared.contracts.codes import Disconnect, Disconnects, ErrorCode, Errors
from warren_shared.observability.bounded_log import BoundedLog

_LINES_PER_SECOND: Final = 50
_ORDINARY: Final = frozenset(
    {
        *(Disconnects.SHUTDOWN, Disconnects.EXPIRED, Disconnects.NO_PONG),
        *(Errors.TOKEN_EXPIRED, Errors.ALREADY_SUBSCRIBED),
    }
)
"""What is no news about a client: logged for debugging only."""


class ClientLog:
    """Logs each event at a bounded rate; what is left out is counted all the same, in the metrics."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._log = BoundedLog(monotonic, per_second=_LINES_PER_SECOND)

    def connection_refused(self, reason: str) -> None:
        """A connection was refused before it was opened."""
        self._log.info("connection_refused", reason=reason)

    def command_refused(self, client: str, command: int, error: ErrorCode) -> None:
        """A command was answered with an error."""
        self._log.log(_level(error), "command_refused", client=client, command=command, code=error.code)

    def order_refused(self, client: str, error: ErrorCode) -> None:
        """A backend's order could not be carried out for a client."""
        self._log.warning("order_refused", client=client, code=error.code)

    def reply_not_encoded(self, client: str, reason: str) -> None:
        """A reply could not be written: a mistake of the gateway, or of who answered it."""
        self._log.error("reply_not_encoded", client=client, reason=reason)

    def client_disconnected(self, client: str, disconnect: Disconnect) -> None:
        """The gateway closed a connection."""
        self._log.log(
            _level(disconnect),
            "client_disconnected",
            client=client,
            code=disconnect.code,
            reason=disconnect.reason,
        )


def _level(code: ErrorCode | Disconnect) -> int:
    return logging.DEBUG if code in _ORDINARY else logging.INFO
