"""Noticing a link that is dead and does not know it.

A peer that vanished without a word (a host that lost power, a firewall that forgot the connection) closes nothing.
AMQP's heartbeats notice it after two or three of their intervals, and RabbitMQ advises against intervals below five
seconds. So the broker is asked something every other second, on each connection, and has five seconds to say anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from warren_shared.messaging.amqp import driver
from warren_shared.messaging.port import DeadlineExceededError

EVERY_SECONDS: Final = 2.0
PATIENCE_SECONDS: Final = 5.0
_log = structlog.get_logger()


class Pulse:
    """Asks the broker over an amqp channel of its own, and has the link given up when nothing comes back.

    Late is not dead: a broker that said anything meanwhile, or said that it takes nothing, is left alone.
    """

    name = "pulse"

    def __init__(self, give_up: Callable[[], None]) -> None:
        self._give_up = give_up
        self.ready = False

    async def work(self, connection: driver.Connection) -> None:
        async with connection.amqp_channel(confirms=False) as channel:
            self.ready = True
            try:
                while True:
                    await asyncio.sleep(EVERY_SECONDS)
                    await self._look(connection, channel)
            finally:
                self.ready = False

    async def _look(self, connection: driver.Connection, channel: driver.AmqpChannel) -> None:
        try:
            async with driver.within(PATIENCE_SECONDS):
                await channel.ask()
        except DeadlineExceededError:
            silent = connection.silent_for()
            if silent >= PATIENCE_SECONDS:
                _log.warning("broker_silent", seconds=round(silent, 1))
                self._give_up()
