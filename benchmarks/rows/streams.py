"""What one delivery costs the gateway over HTTP, against the same over WebSockets in the same run."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from benchmarks.load import Worker, worker
from benchmarks.publishing import Publisher
from benchmarks.rows.fanout import payload, subscribe_all
from benchmarks.suite import Suite, settled
from benchmarks.table import Result

SUBSCRIBERS: Final = 2_000
ROUNDS: Final = 40
TIMES: Final = 3
"""Each is measured so often, in turns, and the least counts: what else the machine does only adds."""
WEBSOCKET: Final = "websocket"
KINDS: Final = (WEBSOCKET, "http_stream", "sse")


async def open_all(generator: Worker, suite: Suite, kind: str, channel: str) -> None:
    """Connect and subscribe as many clients of a kind."""
    if kind == WEBSOCKET:
        await subscribe_all(generator, suite, SUBSCRIBERS, channel)
        return
    url = urlsplit(suite.gateway_url)._replace(scheme="http", path=f"/connection/{kind}").geturl()
    commands = '{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"' + channel + '"}}'
    await generator.order("stream", url=url, count=SUBSCRIBERS, commands=commands, replies=2)


async def seconds(suite: Suite, kind: str) -> float:
    """Return the gateway's CPU seconds for a delivery."""
    channel = f"live:{kind}"
    data, _ = payload(channel)
    async with worker("generator", suite.cores.load) as generator, Publisher.connected(suite.amqp_url) as publisher:
        await open_all(generator, suite, kind, channel)
        await settled()
        before = suite.cpu("gateway")
        for _ in range(ROUNDS):
            await generator.order("reset")
            await publisher.burst(channel.replace(":", "."), data, 1)
            await generator.order("expect", publications=SUBSCRIBERS)
        return (suite.cpu("gateway") - before) / (SUBSCRIBERS * ROUNDS)


async def rows(suite: Suite) -> list[Result]:
    """Measure each kind."""
    least = dict.fromkeys(KINDS, float("inf"))
    for _ in range(TIMES):
        for kind in KINDS:
            least[kind] = min(least[kind], await seconds(suite, kind))
    base = least[WEBSOCKET]
    return [
        Result(
            f"fan-out over {kind}: CPU per delivery, 1 publication to {SUBSCRIBERS} clients",
            "<= 1.5x WebSocket",
            f"{least[kind] / base:.2f}x",
            least[kind] <= 1.5 * base,
            f"{least[kind] * 1e6:.1f} us, WebSocket {base * 1e6:.1f} us",
        )
        for kind in KINDS[1:]
    ]
