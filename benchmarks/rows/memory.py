"""What the AMQP connection keeps in memory when the broker takes nothing, and when a consumer acks nothing."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import psutil

from benchmarks.suite import Suite, settled
from benchmarks.table import Result
from warren_shared.messaging.amqp.driver import AmqpChannel
from warren_shared.messaging.drivers import CONNECT, BrokerDriver
from warren_shared.messaging.port import DeadlineExceededError, Delivery, Outgoing

MEBIBYTE = 2**20
SIZE = 65_536
AT_ONCE = 64
ROUNDS = 16
"""Together 64 MiB are offered to a broker that takes nothing."""
PATIENCE = 0.2
BLOCKED_BUDGET = 8
PREFETCH = 1024
LARGE = 262_144
"""A prefetch of so many such messages is 256 MiB."""
UNACKED_BUDGET = 64


@dataclass(slots=True)
class Growth:
    """The most by which the process grew, in bytes."""

    bytes: int = 0


@asynccontextmanager
async def growth() -> AsyncIterator[Growth]:
    """Watch this process's resident memory while the block runs."""
    process = psutil.Process(os.getpid())
    grown = Growth()
    gc.collect()
    before = process.memory_info().rss

    async def watch() -> None:
        while True:
            grown.bytes = max(grown.bytes, process.memory_info().rss - before)
            await asyncio.sleep(0.02)

    watching = asyncio.create_task(watch())
    try:
        yield grown
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


async def give_up(channel: AmqpChannel, queue: str) -> None:
    """Offer one message until the deadline."""
    with suppress(DeadlineExceededError):
        await channel.publish(Outgoing("", queue, bytes(SIZE)), deadline=PATIENCE)


async def blocked_growth(suite: Suite, driver: BrokerDriver) -> int:
    """Return by how many bytes the process grows while a broker under a memory alarm is offered messages."""
    connection = await CONNECT[driver](suite.amqp_url, name="benchmark", heartbeat=60)
    try:
        async with connection.amqp_channel(confirms=True) as channel, suite.memory_alarm():
            await asyncio.gather(*(give_up(channel, "nowhere") for _ in range(AT_ONCE)))  # now the broker says so
            async with growth() as grown:
                for _ in range(ROUNDS):
                    await asyncio.gather(*(give_up(channel, "nowhere") for _ in range(AT_ONCE)))
    finally:
        await connection.close()
    return grown.bytes


async def unacked_growth(suite: Suite, driver: BrokerDriver) -> int:
    """Return by how many bytes the process grows while a consumer acks nothing of a long queue."""
    connection = await CONNECT[driver](suite.amqp_url, name="benchmark", heartbeat=60)
    queue = f"unacked.{driver.value}"
    try:
        async with connection.amqp_channel(confirms=True) as channel:
            await channel.declare_queue(queue, arguments={"x-queue-type": "classic"}, exclusive=True, auto_delete=True)
            for _ in range(PREFETCH // AT_ONCE):
                await channel.publish_all([Outgoing("", queue, bytes(LARGE))] * AT_ONCE, deadline=60)
            kept: list[Sequence[Delivery]] = []
            async with growth() as grown:
                await channel.consume(queue, kept.append, prefetch=PREFETCH)
                await settled()
                await settled()
    finally:
        await connection.close()
    return grown.bytes


def _row(what: str, budget: int, ours: int, theirs: int) -> Result:
    return Result(
        what,
        f"<= {budget} MiB",
        f"{ours / MEBIBYTE:.1f} MiB",
        ours <= budget * MEBIBYTE,
        f"aio-pika {theirs / MEBIBYTE:.1f} MiB",
    )


async def rows(suite: Suite) -> list[Result]:
    """Measure the lane first, and aio-pika for comparison."""
    lane, other = BrokerDriver.LANE, BrokerDriver.AIO_PIKA
    offered = ROUNDS * AT_ONCE * SIZE // MEBIBYTE
    unacked = [await unacked_growth(suite, driver) for driver in (lane, other)]
    blocked = [await blocked_growth(suite, driver) for driver in (lane, other)]
    return [
        _row(f"memory while a blocked broker is offered {offered} MiB", BLOCKED_BUDGET, *blocked),
        _row(f"memory of a consumer that acks nothing of {PREFETCH * LARGE // MEBIBYTE} MiB", UNACKED_BUDGET, *unacked),
    ]
