"""What can be wrong with a lane's connection."""

from __future__ import annotations

from typing import Final

from warren_shared.messaging.port import BrokerUnavailableError

PRECONDITION_FAILED: Final = 406
FRAME_ERROR: Final = 501
SYNTAX_ERROR: Final = 502
UNEXPECTED_FRAME: Final = 505
NOT_ALLOWED: Final = 530
"""Reply codes (AMQP 0-9-1 section 1.2)."""


class FrameError(Exception):
    """What arrived is no AMQP; the connection cannot go on."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class ConnectionClosedError(BrokerUnavailableError):
    """The connection ended; ``code`` is the broker's reason, 0 where it gave none."""

    def __init__(self, text: str, code: int = 0) -> None:
        super().__init__(f"{code} {text}" if code else text)
        self.code = code


class AmqpChannelClosedError(BrokerUnavailableError):
    """The amqp channel ended; ``code`` is the broker's reason, 0 where it gave none."""

    def __init__(self, text: str, code: int = 0) -> None:
        super().__init__(f"{code} {text}" if code else text)
        self.code = code
