"""One connection kept alive, and the stations that work over it.

The client library's own recovery is not used: it waits a fixed time, restores serially and redeclares
queues under their old names, which collides with a half-open predecessor. Here each connection is
new, and every station sets itself up on it from what is wanted now.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, Protocol

import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from warren_shared.messaging.amqp import driver
from warren_shared.messaging.amqp.pulse import Pulse
from warren_shared.messaging.amqp.task_group import task_group
from warren_shared.messaging.port import BusError

LONGEST_PAUSE: Final = 5.0
_AFTER_LOSS: Final = (0.05, 0.5)
_AFTER_FAILURE: Final = (0.2, 1.0)
_log = structlog.get_logger()


async def _pause(bounds: tuple[float, float]) -> None:
    # At random, so that a fleet that lost its broker does not come back in one moment.
    await asyncio.sleep(random.uniform(*bounds))  # noqa: S311 - jitter is no secret


class Station(Protocol):
    """Something that works over a connection: a consumer, a publisher, an inbox."""

    @property
    def name(self) -> str:
        """For logs."""

    @property
    def ready(self) -> bool:
        """Whether it is set up on the present connection."""

    async def work(self, connection: driver.Connection) -> None:
        """Set up and work until cancelled. Raising means: begin again after a pause."""


class ConnectionLostError(BusError):
    """Ends the work on a connection that is gone."""


class Link:
    """Connects, lets stations work, and connects again, until cancelled."""

    def __init__(self, connect: driver.Connect, url: str, *, name: str, heartbeat: int) -> None:
        self._open, self._url, self._name, self._heartbeat = connect, url, name, heartbeat
        self._stations: list[Station] = [Pulse(self._give_up)]
        self._given_up = asyncio.Event()
        self.connected = False
        self.connects = 0
        """How many connections were made so far."""

    def add(self, station: Station) -> None:
        """Add a station, before ``run``."""
        self._stations.append(station)

    @property
    def ready(self) -> bool:
        """Whether the connection stands and every station is set up on it."""
        return self.connected and all(station.ready for station in self._stations)

    async def run(self) -> None:
        """Keep the connection alive until cancelled."""
        while True:
            connection = await self._connect()
            self.connected = True
            self.connects += 1
            _log.info("broker_connected", link=self._name)
            try:
                await self._work(connection)
            finally:
                self.connected = False
                await connection.close()
            _log.warning("broker_connection_lost", link=self._name)
            await _pause(_AFTER_LOSS)

    async def _connect(self) -> driver.Connection:
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(BusError),
            wait=wait_random_exponential(multiplier=0.2, max=LONGEST_PAUSE),
            before_sleep=self._report_unreachable,
        )
        return await retrying(self._open, self._url, name=self._name, heartbeat=self._heartbeat)

    def _report_unreachable(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        _log.warning("broker_unreachable", link=self._name, broker=driver.redact(self._url), reason=str(error))

    async def _work(self, connection: driver.Connection) -> None:
        self._given_up.clear()
        with suppress(ConnectionLostError):
            async with task_group() as group:
                for station in self._stations:
                    group.create_task(_keep_working(station, connection), name=station.name)
                group.create_task(self._wait_given_up(connection), name="giving up")
                await connection.wait_closed()
                raise ConnectionLostError

    async def _wait_given_up(self, connection: driver.Connection) -> None:
        await self._given_up.wait()
        # Before the stations end: each would wait two seconds for its amqp channel's end, and then the connection too.
        await connection.close()
        raise ConnectionLostError

    def _give_up(self) -> None:
        """Have the present connection replaced."""
        self._given_up.set()

    @property
    def stations(self) -> Sequence[Station]:
        """The stations."""
        return self._stations


async def _keep_working(station: Station, connection: driver.Connection) -> None:
    while not connection.is_closed:
        try:
            await station.work(connection)
        except asyncio.CancelledError:
            driver.raise_if_cancelled()
        except BusError as error:
            if not connection.is_closed:
                _log.warning("station_failed", station=station.name, reason=str(error))
        except Exception:  # noqa: BLE001 - a station's bug must not end the others; it is logged whole
            _log.exception("station_crashed", station=station.name)
        driver.raise_if_cancelled()
        await _pause(_AFTER_FAILURE)
