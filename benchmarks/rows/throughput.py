"""Publications per second: durable through one history process, and live to one client."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import aio_pika
from pamqp.common import FieldValue

from benchmarks.load import worker
from benchmarks.publishing import Publisher
from benchmarks.suite import Suite, settled
from benchmarks.table import Result

DURABLE = 5_000
LIVE = 5_000
WINDOW = 250
CHANNELS = 8


async def bare_relay(url: str, count: int) -> float:
    """Return messages per second of a bare aio-pika loop: consume, confirm into a quorum queue, ack."""
    connection = await aio_pika.connect(url)
    done = asyncio.Event()
    relayed = 0
    async with connection:
        source_side, target_side = await connection.channel(), await connection.channel()
        await source_side.set_qos(prefetch_count=WINDOW)
        quorum: dict[str, FieldValue] = {"x-queue-type": "quorum"}
        source = await source_side.declare_queue("bench.source", durable=True, arguments=quorum)
        await target_side.declare_queue("bench.target", durable=True, arguments=quorum)
        async with asyncio.TaskGroup() as group:
            for number in range(count):
                message = aio_pika.Message(b"x" * 200, message_id=str(number), delivery_mode=2)
                group.create_task(target_side.default_exchange.publish(message, "bench.source"))

        async def relay(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            nonlocal relayed
            copy = aio_pika.Message(message.body, message_id=message.message_id, delivery_mode=2)
            await target_side.default_exchange.publish(copy, "bench.target")
            await message.ack()
            relayed += 1
            if relayed == count:
                done.set()

        began = time.perf_counter()
        tag = await source.consume(relay)
        async with asyncio.timeout(120):
            await done.wait()
        elapsed = time.perf_counter() - began
        await source.cancel(tag)
        await source_side.queue_delete("bench.source")
        await target_side.queue_delete("bench.target")
    return count / elapsed


async def warren_rate(suite: Suite, namespace: str, count: int) -> float:
    """Return publications per second from publish to the last client's socket, over several channels."""
    channels = [f"{namespace}:throughput{number}" for number in range(CHANNELS)]
    subscribes = "\n".join(
        '{"id":%d,"subscribe":{"channel":"%s"}}' % (number + 2, channel) for number, channel in enumerate(channels)
    )
    async with worker("generator", suite.cores.load) as generator, Publisher.connected(suite.amqp_url) as publisher:
        await generator.order("open", url=suite.gateway_url, count=1)
        await generator.order("command", template='{"id":1,"connect":{}}\n' + subscribes, replies=CHANNELS + 1)
        await settled()
        await generator.order("reset")
        began = time.perf_counter()
        for start in range(0, count, WINDOW):
            key = channels[start // WINDOW % CHANNELS].replace(":", ".")
            await publisher.burst(key, b'{"x":"%s"}' % (b"x" * 190), WINDOW)
        await generator.order("expect", publications=count)
        return count / (time.perf_counter() - began)


async def history_drain(suite: Suite, count: int, processes: Sequence[str] = ("history",)) -> float:
    """Return publications per second of history processes that work off a backlog together."""
    async with Publisher.connected(suite.amqp_url) as publisher:
        for name in processes:
            await suite.supervisor.stop(name)
        for start in range(0, count, WINDOW):
            await publisher.burst(f"chat.drain{start // WINDOW % CHANNELS}", b'{"x":"%s"}' % (b"x" * 190), WINDOW)
        await suite.supervisor.start(*processes)
        began = 0.0
        async with asyncio.timeout(120):
            while True:
                done = await _appended(suite, processes)
                if done and not began:
                    began, first = time.perf_counter(), done
                if done >= count:
                    break
                await asyncio.sleep(0.02)
        return (count - first) / (time.perf_counter() - began)


async def _appended(suite: Suite, processes: Sequence[str]) -> float:
    try:
        return sum([await suite.metric(name, "warren_history_appended_total") for name in processes])
    except OSError:
        return 0.0


async def rows(suite: Suite) -> list[Result]:
    """Measure both kinds of channel."""
    bare = await bare_relay(suite.amqp_url, DURABLE)
    drained = await history_drain(suite, DURABLE)
    durable = await warren_rate(suite, "chat", DURABLE)
    live = await warren_rate(suite, "live", LIVE)
    return [
        Result(
            "durable publications per second, one history process, backlog",
            ">= 4x bare relay (with the lanes)",
            f"{drained / bare:.2f}x",
            drained >= 4 * bare,
            f"{drained:.0f}/s, bare consume-and-confirm {bare:.0f}/s",
        ),
        Result("durable publications per second, publisher to client", "-", f"{durable:.0f}/s", None),
        Result("live publications per second, publisher to client", "-", f"{live:.0f}/s", None),
    ]
