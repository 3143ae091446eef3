"""History slower than publishers: what waits, waits at the broker, and nobody else notices.

The broker's confirms are all that holds publishers back, and an alarm of its memory or disk where it has no room for
what waits: a partition has no bound of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aio_pika
import pytest
from clients.backend import Backend
from clients.party import Clients
from clients.sdk import SdkClient, connected, subscribed
from eventually import eventually
from proxy import Proxy
from staging.broker import RunBroker
from staging.programs import GATEWAYS
from staging.resident_memory import forget_peak, peak, resident
from staging.stage import Stage
from staging.suite import Suite, running_suite

from warren_dev.supervisor import Supervisor
from warren_shared.topology.catalogue import DEFAULT_PARTITIONS, history_partition

pytestmark = [pytest.mark.e2e, pytest.mark.broker, pytest.mark.timeout(240)]
CHANNELS: Final = 8
EACH: Final = 2_500
COUNT: Final = CHANNELS * EACH
WINDOW: Final = 50
"""Publications that each of the backends has unconfirmed at most; there is one for each channel."""
PADDING: Final = "x" * 4_000
FLOOD_BYTES: Final = COUNT * len(PADDING)
PREFETCH: Final = 64
"""Smaller than by default, as the flood is smaller than one that would matter."""
RATE: Final = 100_000
"""Bytes a second that reach history, a thirtieth of a second's publications."""
PROMPT_SECONDS: Final = 5.0
"""How late a live publication may be: the flood, its follower and the proxy share a processor with it here."""
GROWTH: Final = 36 * 2**20
"""What a process may grow by: 4 partitions' prefetch of 64 and all write buffers are less than 2 MiB, SQLite's page
cache for writing is 16 MiB, and allocators keep some. Who kept the flood would grow by more than twice that.
"""


@dataclass(frozen=True, slots=True)
class Slowed:
    """A suite whose history may be slowed down."""

    suite: Suite
    link: Proxy


@pytest.fixture(scope="module")
def slowed(
    stage: Stage, run_broker: RunBroker, broker_supervisor: Supervisor | None, run_folder: Path
) -> Iterator[Slowed]:
    """A suite of its own, whose history reaches the broker over a link that may be throttled."""

    @asynccontextmanager
    async def standing() -> AsyncIterator[Slowed]:
        target = run_broker.administrator
        async with (
            Proxy.to(target.host, target.port) as link,
            running_suite(
                stage, run_broker, broker_supervisor, run_folder / "suite-with-slow-history",
                extra={"OTEL_TRACES_SAMPLER": "always_off"},
                own={"history": {"WARREN_HISTORY_PREFETCH": str(PREFETCH), "WARREN_HISTORY_MAX_BATCH": str(PREFETCH)}},
                broker_ports={"history": link.port},
            ) as suite,
        ):  # fmt: skip
            yield Slowed(suite, link)

    with stage.hold(standing) as slowed:
        yield slowed


@pytest.fixture(scope="module")
def suite(slowed: Slowed) -> Suite:
    return slowed.suite


class Flood:
    """A backend for each channel that publishes numbers as fast as the broker confirms them."""

    def __init__(self, url: str, channels: Sequence[str]) -> None:
        self._url, self._channels = url, channels
        self.confirmed = 0
        self.most_unconfirmed = 0
        self._unconfirmed = 0

    async def run(self) -> None:
        """Publish everything; each window after the last one's confirms."""
        async with asyncio.TaskGroup() as group:
            for channel in self._channels:
                group.create_task(self._publish(channel))

    async def _publish(self, channel: str) -> None:
        async with Backend.connected(self._url) as backend:
            for start in range(0, EACH, WINDOW):
                numbers = range(start, start + WINDOW)
                self._unconfirmed += WINDOW
                self.most_unconfirmed = max(self.most_unconfirmed, self._unconfirmed)
                data = [(f"{channel}-{number}", {"n": number, "padding": PADDING}) for number in numbers]
                assert await backend.publish_all(channel, data) == WINDOW
                self._unconfirmed -= WINDOW
                self.confirmed += WINDOW


class Waiting:
    """What waits in the partitions, not counting what history was brought."""

    def __init__(self, amqp_channel: aio_pika.abc.AbstractChannel) -> None:
        self._amqp_channel = amqp_channel

    async def now(self) -> int:
        counts = []
        for partition in map(history_partition, range(DEFAULT_PARTITIONS)):
            queue = await self._amqp_channel.declare_queue(partition, passive=True)
            counts.append(queue.declaration_result.message_count or 0)
        return sum(counts)


class LivePair:
    """Two clients on a live channel who publish to one another, one publication at a time."""

    def __init__(self, pair: Sequence[SdkClient], channel: str) -> None:
        self._pair, self._channel = pair, channel
        self.arrived = 0

    async def run(self) -> None:
        """Go on until cancelled; fail at the first publication that is late."""
        while True:
            since = self._pair[1].log.mark()
            async with asyncio.timeout(PROMPT_SECONDS):
                await self._pair[0].publish(self._channel, self.arrived)
                await self._pair[1].log.one("publication", self._channel, since=since)
            self.arrived += 1


async def test_while_history_is_slow_the_broker_keeps_the_backlog_memory_stays_and_live_channels_flow(
    slowed: Slowed, suite: Suite, clients: Clients, unique: str
) -> None:
    channels = [f"stream:{unique}-{number}" for number in range(CHANNELS)]
    live = f"live:{unique}"
    follower = await subscribed(await connected(await clients.make("python", 1, "follower")), *channels)
    pair = [
        await subscribed(await connected(await clients.make("js", number, f"live-{number}")), live) for number in (0, 1)
    ]
    processes = {name: suite.pid(name) for name in ("history", *GATEWAYS)}
    before = {name: resident(pid) for name, pid in processes.items()}
    flood, living = Flood(suite.backend_url, channels), LivePair(pair, live)
    for pid in processes.values():
        forget_peak(pid)

    async with await aio_pika.connect(suite.amqp_url) as connection, asyncio.TaskGroup() as group:
        waiting = Waiting(await connection.channel())
        alive = group.create_task(living.run())
        slowed.link.throttle(RATE)
        await flood.run()
        assert flood.confirmed == COUNT  # history's slowness is no reason for the broker not to take them
        assert flood.most_unconfirmed <= CHANNELS * WINDOW
        stored = await suite.total("history", "warren_history_appended_total")
        backlog = await waiting.now()
        assert backlog > COUNT / 2
        assert backlog >= COUNT - await suite.total("history", "warren_history_appended_total") - 4 * PREFETCH
        assert stored < COUNT / 2
        during = living.arrived

        slowed.link.throttle(None)
        log = follower.log  # looked at now and then: waking for each of so many would cost more than the flood
        await eventually(lambda: len(log.all("publication")) >= COUNT, deadline=90, what="all delivered")
        assert await waiting.now() == 0
        alive.cancel()
    grown = {name: peak(pid) - before[name] for name, pid in processes.items()}

    for channel in channels:
        got = follower.log.all("publication", channel)
        assert [event["data"]["n"] for event in got] == list(range(EACH))
        assert [event["offset"] for event in got] == list(range(1, EACH + 1))
    assert during >= 20
    assert FLOOD_BYTES > 2 * GROWTH
    assert max(grown.values()) < GROWTH, grown
