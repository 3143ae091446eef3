"""What one delivery costs the gateway, against a bare loop of ``socket.send`` of the same bytes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from benchmarks.load import Worker, worker
from benchmarks.publishing import Publisher
from benchmarks.suite import Suite, settled
from benchmarks.table import Result

SUBSCRIBERS = 5_000
ROUNDS = 30
BURST_SUBSCRIBERS = 1_000
BURST = 50
BURST_ROUNDS = 10
PAYLOAD_BYTES = 200
AT_ONCE = 500


def payload(channel: str) -> tuple[bytes, bytes]:
    """Return (data, the WebSocket frame a subscriber gets), the data of 200 bytes."""
    data = b'{"text":"' + b"x" * (PAYLOAD_BYTES - 11) + b'"}'
    push = b'{"push":{"channel":"' + channel.encode() + b'","pub":{"data":' + data + b"}}}"
    return data, b"\x81\x7e" + len(push).to_bytes(2, "big") + push


async def subscribe_all(generator: Worker, suite: Suite, count: int, channel: str) -> None:
    """Connect so many clients, all subscribed to one channel; some at a time, for none may go stale."""
    commands = '{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"' + channel + '"}}'
    for opened in range(0, count, AT_ONCE):
        await generator.order("open", url=suite.gateway_url, count=min(AT_ONCE, count - opened))
        await generator.order("command", template=commands, replies=2, skip=opened)


async def bare_seconds(suite: Suite, subscribers: int, frame: bytes, rounds: int) -> float:
    """Return the CPU seconds of one ``socket.send`` in the bare loop."""
    async with worker("generator", suite.cores.load) as sink, worker("bare_server", suite.cores.server) as bare:
        port = await bare.line()
        await asyncio.gather(
            sink.order("open", url=f"ws://127.0.0.1:{port}/", count=subscribers, upgrade=False),
            bare.ask(f"accept {subscribers}"),
        )
        total = 0.0
        for _ in range(rounds):
            await sink.order("reset")
            total += float(await bare.ask(f"send {frame.hex()}"))
            await sink.order("expect", publications=subscribers)
    return total / (subscribers * rounds)


STALL = "warren_gateway_loop_stall_seconds"
"""The event loop's longest delay since it was last read."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What a fan-out cost, in seconds."""

    gateway: float
    """CPU for each delivery."""
    generator: float
    """The load generator's CPU for each delivery."""
    stall: float
    stall_connecting: float


async def warren_seconds(suite: Suite, subscribers: int, rounds: int, burst: int, channel: str) -> Measured:
    """Measure the gateway."""
    data, _ = payload(channel)
    key = channel.replace(":", ".")
    async with worker("generator", suite.cores.load) as generator, Publisher.connected(suite.amqp_url) as publisher:
        await subscribe_all(generator, suite, subscribers, channel)
        await settled()
        connecting = await suite.metric("gateway", STALL)
        before, load = suite.cpu("gateway"), 0.0
        for _ in range(rounds):
            await generator.order("reset")
            await publisher.burst(key, data, burst)
            load += (await generator.order("expect", publications=subscribers * burst))["cpu"]
        spent = suite.cpu("gateway") - before
        stall = await suite.metric("gateway", STALL)
    deliveries = subscribers * rounds * burst
    return Measured(spent / deliveries, load / deliveries, stall, connecting)


async def rows(suite: Suite) -> list[Result]:
    """Measure fan-out and bursts."""
    _, frame = payload("live:fanout")
    bare = await bare_seconds(suite, SUBSCRIBERS, frame, ROUNDS)
    fanout = await warren_seconds(suite, SUBSCRIBERS, ROUNDS, 1, "live:fanout")
    bare_burst = await bare_seconds(suite, BURST_SUBSCRIBERS, frame, BURST_ROUNDS * BURST)
    bursts = await warren_seconds(suite, BURST_SUBSCRIBERS, BURST_ROUNDS, BURST, "live:burst")
    one, many, stall = fanout.gateway, bursts.gateway, max(fanout.stall, bursts.stall)
    return [
        Result(
            f"fan-out: CPU per delivery, 1 publication to {SUBSCRIBERS} sockets, {PAYLOAD_BYTES} B",
            "<= 1.5x bare send",
            f"{one / bare:.2f}x",
            one <= 1.5 * bare,
            f"{one * 1e6:.1f} us, bare {bare * 1e6:.1f} us, generator {fanout.generator * 1e6:.1f} us",
        ),
        Result(
            f"burst: CPU per delivery, {BURST} publications to {BURST_SUBSCRIBERS} sockets",
            "<= 0.5x bare send",
            f"{many / bare_burst:.2f}x",
            many <= 0.5 * bare_burst,
            f"{many * 1e6:.1f} us, bare {bare_burst * 1e6:.1f} us",
        ),
        Result(
            "loop stall in the gateway under both",
            "<= 50 ms",
            f"{stall * 1e3:.0f} ms",
            stall <= 0.05,
            f"while {AT_ONCE} connect at once: {fanout.stall_connecting * 1e3:.0f} ms",
        ),
    ]
