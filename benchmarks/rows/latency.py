"""Latency from publisher to client, live and durable, against bare aio-pika on the same broker."""

from __future__ import annotations

import asyncio
import time

import aio_pika

from benchmarks.generator import quantile
from benchmarks.load import worker
from benchmarks.publishing import Publisher
from benchmarks.suite import Suite, settled
from benchmarks.table import Result

RATE = 1_000
DURABLE_RATE = 300
SECONDS = 8.0


async def bare_latencies(url: str, rate: float) -> list[float]:
    """Return seconds from a bare aio-pika publish to a bare aio-pika consume."""
    seen: list[float] = []
    connection = await aio_pika.connect(url)
    async with connection, Publisher.connected(url) as publisher:
        amqp_channel = await connection.channel()
        queue = await amqp_channel.declare_queue(exclusive=True)
        await queue.bind("warren.publish", "live.bare")

        async def on_message(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            seen.append((time.time_ns() - int(message.body[5:24])) / 1e9)

        await queue.consume(on_message, no_ack=True)
        count = int(rate * SECONDS)
        await publisher.at_rate("live.bare", rate, count)
        async with asyncio.timeout(30):
            while len(seen) < count:
                await asyncio.sleep(0.05)
    return seen


async def warren_latencies(suite: Suite, channel: str, rate: float) -> tuple[float, float]:
    """Return (p50, p99) seconds from a backend's publish to a client's socket."""
    async with worker("generator", suite.cores.load) as generator, Publisher.connected(suite.amqp_url) as publisher:
        await generator.order("open", url=suite.gateway_url, count=1)
        commands = '{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"' + channel + '"}}'
        await generator.order("command", template=commands, replies=2)
        await settled()
        await generator.order("reset", latencies=True)
        count = int(rate * SECONDS)
        # The generator reads its sockets while it waits, so it waits from before the first to the last.
        async with asyncio.TaskGroup() as group:
            group.create_task(generator.order("expect", publications=count))
            await asyncio.sleep(0.2)
            group.create_task(publisher.at_rate(channel.replace(":", "."), rate, count))
        answer = await generator.order("latencies")
    return answer["p50"], answer["p99"]


def _row(what: str, factor: float, bare: list[float], measured: tuple[float, float]) -> Result:
    p50, p99 = measured
    bare50, bare99 = quantile(bare, 0.5), quantile(bare, 0.99)
    return Result(
        what,
        f"p99 <= {factor:g}x bare aio-pika",
        f"{p99 / bare99:.2f}x",
        p99 <= factor * bare99,
        f"p50 {p50 * 1e3:.1f} ms, p99 {p99 * 1e3:.1f} ms; bare {bare50 * 1e3:.1f}, {bare99 * 1e3:.1f}",
    )


async def rows(suite: Suite) -> list[Result]:
    """Measure both kinds of channel."""
    bare = await bare_latencies(suite.amqp_url, RATE)
    live = await warren_latencies(suite, "live:latency", RATE)
    bare_slow = await bare_latencies(suite.amqp_url, DURABLE_RATE)
    durable = await warren_latencies(suite, "chat:latency", DURABLE_RATE)
    return [
        _row(f"live publish -> client, {RATE}/s", 2, bare, live),
        _row(f"durable publish -> client, {DURABLE_RATE}/s", 4, bare_slow, durable),
    ]
