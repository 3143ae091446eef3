"""A storm: thousands of clients of one durable channel come back at once, and are made whole."""

from __future__ import annotations

import asyncio
import json
import statistics

from benchmarks.load import Worker, worker
from benchmarks.publishing import Publisher
from benchmarks.suite import Suite, settled
from benchmarks.table import Result

CLIENTS = 5_000
AT_ONCE = 500
MISSED = 50
ROUNDS = 5
CHANNEL = "chat:storm"
MARK = '"storm":'
READS_METRIC = "warren_gateway_history_reads_total"
READS = 10
"""A handful, for all clients together."""


def subscribing(recover: str = "") -> str:
    """Return what a client sends when it comes."""
    return '{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"%s"%s}}' % (CHANNEL, recover)


async def come(generator: Worker, suite: Suite, commands: str, publications: int) -> float:
    """Return the seconds in which all clients connect, subscribe and have so many publications each."""
    await generator.order("reset", mark=MARK)
    seconds = 0.0
    for already in range(0, CLIENTS, AT_ONCE):
        opened = await generator.order("open", url=suite.gateway_url, count=AT_ONCE)
        answered = await generator.order("command", template=commands, replies=2, skip=already)
        seconds += opened["seconds"] + answered["seconds"]
    whole = await generator.order("expect", publications=publications * CLIENTS)
    return seconds + float(whole["seconds"])


async def leave(generator: Worker, suite: Suite) -> None:
    """Cut all clients, and wait until the gateway has noticed."""
    await generator.order("close")
    async with asyncio.timeout(60):
        while await suite.metric("gateway", "warren_gateway_connections"):
            await asyncio.sleep(0.1)
    await settled()


async def position(generator: Worker) -> str:
    """Return where the channel is, as part of a command that recovers from there."""
    answer = await generator.order("ask", command=subscribing(), reply=2)
    subscribed = json.loads(answer["reply"])["subscribe"]
    return ',"recover":true,"epoch":"%s","offset":%d' % (subscribed["epoch"], subscribed.get("offset", 0))


async def rows(suite: Suite) -> list[Result]:
    """Compare, in turns, coming back to a channel that went on with coming to it for the first time."""
    plain, recovering, reads = list[float](), list[float](), list[float]()
    async with worker("generator", suite.cores.load) as generator, Publisher.connected(suite.amqp_url) as publisher:
        for _ in range(ROUNDS):
            await generator.order("open", url=suite.gateway_url, count=1)
            back = subscribing(await position(generator))
            await leave(generator, suite)
            plain.append(await come(generator, suite, subscribing(), 0))
            await leave(generator, suite)
            await publisher.burst(CHANNEL.replace(":", "."), b'{"storm":"%s"}' % (b"x" * 180), MISSED)
            await settled()
            before = await suite.metric("gateway", READS_METRIC)
            recovering.append(await come(generator, suite, back, MISSED))
            reads.append(await suite.metric("gateway", READS_METRIC) - before)
            await leave(generator, suite)
    ratio, most = statistics.median(recovering) / statistics.median(plain), max(reads)
    return [
        Result(
            f"{CLIENTS} clients of one channel come back and recover {MISSED} publications each",
            f"<= 2x coming without recovery, <= {READS} reads of history",
            f"{ratio:.2f}x, {most:.0f} reads",
            ratio <= 2 and most <= READS,
            f"median {statistics.median(recovering):.2f} s against {statistics.median(plain):.2f} s",
        )
    ]
