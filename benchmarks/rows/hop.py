"""What one AMQP hop costs: CPU of a confirmed publish and of a consumed message, lane against aio-pika."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from benchmarks.suite import Suite
from benchmarks.table import Result
from warren_shared.messaging.amqp.driver import AmqpChannel, Connection
from warren_shared.messaging.drivers import CONNECT, BrokerDriver
from warren_shared.messaging.port import Delivery, Headers, Outgoing

MESSAGES = 10_240
IN_FLIGHT = 256
DEADLINE = 60.0
HEADERS: Headers = {
    "x-warren-offset": 123_456,
    "x-warren-epoch": "Jx0qT5sWmB1c",
    "x-warren-time": 1_795_000_000_000,
    "x-warren-info": '{"user":"alice","client":"8f0c3f5e"}',
    "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
}


def messages(queue: str) -> list[Outgoing]:
    """Return messages of 200 bytes with five headers."""
    return [Outgoing("", queue, b"x" * 200, HEADERS, message_id=str(number)) for number in range(MESSAGES)]


async def publish_seconds(channel: AmqpChannel, queue: str) -> float:
    """Return the CPU seconds of one confirmed publish, so many in flight, each awaited by itself."""
    waiting = iter(messages(queue))

    async def publisher() -> None:
        for message in waiting:
            await channel.publish(message, deadline=DEADLINE)

    began = time.process_time()
    async with asyncio.TaskGroup() as group:
        for _ in range(IN_FLIGHT):
            group.create_task(publisher())
    return (time.process_time() - began) / MESSAGES


async def burst_seconds(channel: AmqpChannel, queue: str) -> float:
    """Return the CPU seconds of one confirmed publish in bursts that are awaited together."""
    everything = messages(queue)
    began = time.process_time()
    for start in range(0, MESSAGES, IN_FLIGHT):
        await channel.publish_all(everything[start : start + IN_FLIGHT], deadline=DEADLINE)
    return (time.process_time() - began) / MESSAGES


async def consume_seconds(connection: Connection, queue: str, *, prefetch: int | None) -> float:
    """Return the CPU seconds of one consumed message whose headers are read; acked in batches with a prefetch."""
    async with connection.amqp_channel(confirms=False) as channel:
        arrived: list[Sequence[Delivery]] = []
        wake = asyncio.Event()

        def take(deliveries: Sequence[Delivery]) -> None:
            arrived.append(deliveries)
            wake.set()

        seen = 0
        began = time.process_time()
        await channel.consume(queue, take, prefetch=prefetch)
        async with asyncio.timeout(DEADLINE):
            while seen < MESSAGES:
                await wake.wait()
                wake.clear()
                batches, arrived[:] = arrived[:], []
                for delivery in (delivery for batch in batches for delivery in batch):
                    seen += delivery.headers["x-warren-offset"] is not None
                if prefetch is not None and batches:
                    await channel.ack(batches[-1][-1].tag)
        return (time.process_time() - began) / MESSAGES


async def driver_seconds(url: str, driver: BrokerDriver) -> tuple[float, ...]:
    """Return CPU seconds a message: published alone, published in bursts, consumed without ack and with."""
    connection = await CONNECT[driver](url, name="benchmark", heartbeat=60)
    figures = []
    try:
        async with connection.amqp_channel(confirms=True) as channel:
            for queue, measured in (("alone", publish_seconds), ("burst", burst_seconds)):
                await channel.declare_queue(
                    queue, arguments={"x-queue-type": "classic"}, exclusive=True, auto_delete=True
                )
                figures.append(await measured(channel, queue))
            figures.append(await consume_seconds(connection, "alone", prefetch=None))
            figures.append(await consume_seconds(connection, "burst", prefetch=2 * IN_FLIGHT))
    finally:
        await connection.close()
    return tuple(figures)


async def rows(suite: Suite) -> list[Result]:
    """Measure both drivers, twice in turn; the better of each counts."""
    best: dict[BrokerDriver, tuple[float, ...]] = {}
    for driver in (BrokerDriver.AIO_PIKA, BrokerDriver.LANE) * 2:
        figures = await driver_seconds(suite.amqp_url, driver)
        best[driver] = tuple(map(min, figures, best.get(driver, figures)))
    names = (
        f"CPU of a confirmed publish, {IN_FLIGHT} in flight",
        f"CPU of a confirmed publish, bursts of {IN_FLIGHT}",
        "CPU of a consumed message, no ack",
        "CPU of a consumed message, acked in batches",
    )
    return [
        Result(
            name,
            "<= 1/8 of aio-pika",
            f"1/{theirs / ours:.1f}",
            ours <= theirs / 8,
            f"{ours * 1e6:.1f} us, aio-pika {theirs * 1e6:.1f} us",
        )
        for name, ours, theirs in zip(names, best[BrokerDriver.LANE], best[BrokerDriver.AIO_PIKA], strict=True)
    ]
