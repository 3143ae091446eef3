"""What holds publishers back while the broker or the socket takes nothing."""

from __future__ import annotations

import asyncio
from collections import deque
from enum import Enum, auto

from warren_shared.messaging.port import BusError


class Obstacle(Enum):
    """Why the gate is shut."""

    SOCKET = auto()
    """The socket's buffer is full: the broker reads too slowly (RabbitMQ: Flow Control)."""
    ALARM = auto()
    """The broker said connection.blocked (RabbitMQ: Blocked Connection Notifications)."""
    FLOW = auto()
    """The broker said channel.flow (AMQP 0-9-1 section 1.5.2.3)."""


class Gate:
    """Lets publishers through one by one, in the order they came, while nothing is in the way.

    Whoever finds ``free`` may write at once. Others wait in ``passing``; nobody overtakes them.
    """

    def __init__(self) -> None:
        self._obstacles: set[tuple[Obstacle, int]] = set()
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._passing = False
        self._error: BusError | None = None
        self.free = True
        """Whether one who just came may go on."""

    @property
    def obstacles(self) -> frozenset[Obstacle]:
        """What is in the way."""
        return frozenset(obstacle for obstacle, _ in self._obstacles)

    async def enter(self) -> None:
        """Wait for one's turn; to be followed by ``left``. Raises what ``fail`` was given."""
        if self._error is not None:
            raise self._error
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self.free = False
        self._next()
        try:
            await turn
        except BaseException:
            if turn in self._waiting:
                self._waiting.remove(turn)
                self._next()
            elif turn.done() and not turn.cancelled() and turn.exception() is None:
                self.left()  # its turn had come when it was cancelled
            raise

    def left(self) -> None:
        """Whoever entered has written: the next may."""
        self._passing = False
        self._next()

    def put(self, obstacle: Obstacle, number: int = 0) -> None:
        """Shut the gate; ``number`` is that of the amqp channel on which the broker said so."""
        self._obstacles.add((obstacle, number))
        self.free = False

    def clear(self, obstacle: Obstacle, number: int = 0) -> None:
        """Take an obstacle away."""
        self._obstacles.discard((obstacle, number))
        self._next()

    def fail(self, error: BusError) -> None:
        """Nobody will be let through any more."""
        self._error = error
        self.free = False
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_exception(error)

    def _next(self) -> None:
        while self._waiting and not self._obstacles and not self._passing:
            turn = self._waiting.popleft()
            if not turn.done():
                self._passing = True
                turn.set_result(None)
        self.free = not self._obstacles and not self._passing and not self._waiting and self._error is None
