"""Log lines about what clients do: bounded, because clients decide how many there are."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

import structlog

from warren_gateway.domain.token_bucket import TokenBucket
from warren_shared.contracts.codes import Disconnect, Disconnects, ErrorCode, Errors

_LINES_PER_SECOND: Final = 50.0
_ORDINARY: Final = frozenset(
    {
        *(Disconnects.SHUTDOWN, Disconnects.EXPIRED, Disconnects.NO_PONG),
        *(Errors.TOKEN_EXPIRED, Errors.ALREADY_SUBSCRIBED),
    }
)
"""What is no news about a client: logged for debugging only."""
_log = structlog.get_logger()


class ClientLog:
    """Logs at a bounded rate; what is left out is counted all the same, in the metrics."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic, self._lines = monotonic, TokenBucket(_LINES_PER_SECOND)

    def connection_refused(self, reason: str) -> None:
        """A connection was refused before it was opened."""
        if self._lines.take(self._monotonic()):
            _log.info("connection_refused", reason=reason)

    def command_refused(self, client: str, command: int, error: ErrorCode) -> None:
        """A command was answered with an error."""
        if self._lines.take(self._monotonic()):
            _log.log(_level(error), "command_refused", client=client, command=command, code=error.code)

    def reply_not_encoded(self, client: str, reason: str) -> None:
        """A reply could not be written: a mistake of the gateway, or of who answered it."""
        if self._lines.take(self._monotonic()):
            _log.error("reply_not_encoded", client=client, reason=reason)

    def client_disconnected(self, client: str, disconnect: Disconnect) -> None:
        """The gateway closed a connection."""
        if self._lines.take(self._monotonic()):
            _log.log(
                _level(disconnect),
                "client_disconnected",
                client=client,
                code=disconnect.code,
                reason=disconnect.reason,
            )


def _level(code: ErrorCode | Disconnect) -> int:
    return logging.DEBUG if code in _ORDINARY else logging.INFO
