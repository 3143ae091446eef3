"""The whole suite on the lane against the whole suite on aio-pika: live latency, and the speed at a backlog."""

from __future__ import annotations

from benchmarks.rows.latency import RATE, warren_latencies
from benchmarks.rows.throughput import DURABLE, history_drain
from benchmarks.suite import Suite, running_suite, settled
from benchmarks.table import Result
from warren_shared.messaging.drivers import BrokerDriver


async def _measured(suite: Suite) -> tuple[float, float, float]:
    """Return (p50, p99) seconds of live publications and history's durable publications per second."""
    await settled()
    p50, p99 = await warren_latencies(suite, "live:drivers", RATE)
    return p50, p99, await history_drain(suite, DURABLE)


async def rows(suite: Suite) -> list[Result]:
    """Measure both; ``suite`` runs on the lane."""
    p50, p99, drained = await _measured(suite)
    async with running_suite({"WARREN_BROKER_DRIVER": BrokerDriver.AIO_PIKA.value}) as other:
        their50, their99, their_drained = await _measured(other)
    return [
        Result(
            f"live publish -> client, {RATE}/s, p50 on the lane",
            "<= 1x of aio-pika",
            f"{p50 / their50:.2f}x",
            p50 <= their50,
            f"{p50 * 1e3:.1f} ms, aio-pika {their50 * 1e3:.1f} ms",
        ),
        Result(
            f"live publish -> client, {RATE}/s, p99 on the lane",
            "<= 1x of aio-pika",
            f"{p99 / their99:.2f}x",
            p99 <= their99,
            f"{p99 * 1e3:.1f} ms, aio-pika {their99 * 1e3:.1f} ms",
        ),
        Result(
            "history's backlog on the lane",
            "-",
            f"{drained / their_drained:.2f}x",
            None,
            f"{drained:.0f}/s, aio-pika {their_drained:.0f}/s",
        ),
    ]
