"""Durable channels through the crash of any one process, while a backend goes on publishing.

The promise: a publication whose publisher got its confirm reaches every subscriber exactly once and
in order. When the broker itself is killed, a channel may come back in another partition (RabbitMQ 3.10
deals keys anew when it restarts), so that what waits in the old one is numbered after what came later;
the order is the same one for every subscriber.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from clients.backend import Stream
from clients.followed_stream import FollowedStream
from clients.party import Clients
from clients.sdk import SdkClient, connected, subscribed
from staging.programs import GATEWAYS, SERVICES
from staging.suite import Suite

pytestmark = [pytest.mark.e2e, pytest.mark.broker, pytest.mark.timeout(150)]
COUNT = 2_000
BROKER = "rabbitmq"
WINDOW = 50
"""Publications the backend has unconfirmed at most."""


@pytest.mark.parametrize("victim", SERVICES)
async def test_every_subscriber_has_all_publications_once_in_order_though_a_process_is_killed(
    suite: Suite, clients: Clients, unique: str, victim: str
) -> None:
    channel = f"stream:{unique}"
    stream = await FollowedStream.begin(clients, suite.backend_url, channel, COUNT)
    stream.pause_at(COUNT - 500)
    async with asyncio.TaskGroup() as group:
        group.create_task(stream.run())
        await stream.until(500, deadline=30)
        killed = suite.pid(victim)
        await suite.crash(victim)
        await stream.until(COUNT - 500, deadline=30)
        await suite.wait_ready(victim)
        assert suite.pid(victim) != killed
        stream.go_on()

    await stream.everybody_has_everything(deadline=40)
    for number, gateway in enumerate(GATEWAYS):
        for client in (stream.everybody[number], stream.everybody[number + 2]):
            assert len(client.log.all("connected")) == (2 if gateway == victim else 1)


async def test_nothing_is_lost_or_doubled_though_history_dies_over_and_over(
    suite: Suite, clients: Clients, unique: str
) -> None:
    channel = f"stream:{unique}"
    stream = await FollowedStream.begin(clients, suite.backend_url, channel, COUNT)
    async with asyncio.TaskGroup() as group:
        group.create_task(stream.run())
        for confirmed in (200, 600, 1000, 1400):
            await stream.until(confirmed, deadline=30)
            await suite.kill9("history")
            await suite.start("history")

    await stream.everybody_has_everything(deadline=60)


async def everybody_has_everything_once(
    everybody: Sequence[SdkClient], channel: str, *, in_flight: range, deadline: float
) -> None:
    for client in everybody:
        await client.log.until("publication", channel, count=COUNT, deadline=deadline)
        data = client.log.data(channel)
        assert sorted(data) == list(range(COUNT))
        assert [number for number in data if number not in in_flight] == [
            *range(in_flight.start),
            *range(in_flight.stop, COUNT),
        ]
        assert data == everybody[0].log.data(channel)
        offsets = [event["offset"] for event in client.log.all("publication", channel)]
        assert offsets == list(range(1, COUNT + 1))


async def test_every_subscriber_has_all_publications_once_in_order_though_the_broker_is_killed(
    suite: Suite, clients: Clients, unique: str
) -> None:
    if not suite.broker.private:
        pytest.skip("the broker of this run is somebody else's: it is not to be killed")
    channel = f"stream:{unique}"
    stream = await FollowedStream.begin(clients, suite.backend_url, channel, COUNT)
    async with asyncio.TaskGroup() as group:
        group.create_task(stream.run())
        await stream.until(500, deadline=30)
        await suite.kill9(BROKER)
        assert stream.confirmed < COUNT
        delivered = max(len(client.log.data(channel)) for client in stream.everybody)
        in_flight = range(delivered, stream.confirmed + WINDOW)
        await suite.start(BROKER)
        await stream.until(COUNT, deadline=60)

    await everybody_has_everything_once(stream.everybody, channel, in_flight=in_flight, deadline=60)
    await suite.wait_ready()


async def test_every_subscriber_has_everything_though_the_broker_breaks_all_connections_of_the_services(
    suite: Suite, clients: Clients, unique: str
) -> None:
    channel = f"stream:{unique}"
    stream = await FollowedStream.begin(clients, suite.backend_url, channel, COUNT)
    async with asyncio.TaskGroup() as group:
        group.create_task(stream.run())
        for confirmed, pause in ((400, 800), (1200, 1600)):
            stream.pause_at(pause)
            await stream.until(confirmed, deadline=30)
            connects = await suite.total(SERVICES, "warren_broker_connects_total")
            await suite.stage.run(suite.break_connections())
            await stream.until(pause, deadline=30)
            await suite.wait_ready()
            assert await suite.total(SERVICES, "warren_broker_connects_total") >= connects + 2 * len(SERVICES)
        stream.go_on()

    await stream.everybody_has_everything(deadline=40)
    for client in stream.everybody:
        assert len(client.log.all("connected")) == 1  # what gateways missed, they fetched from history


async def test_a_client_that_is_away_while_everything_restarts_misses_nothing(
    suite: Suite, clients: Clients, unique: str
) -> None:
    channel = f"stream:{unique}"
    alice = await subscribed(await connected(await clients.make("python", 0, "alice")), channel)
    stream = Stream(suite.backend_url, channel, 400)
    stream.pause_at(200)
    async with asyncio.TaskGroup() as group:
        group.create_task(stream.run())
        await alice.log.until("publication", channel, count=100)
        await alice.disconnect()
        await stream.until(200, deadline=30)
        async with asyncio.TaskGroup() as restarts:
            for name in SERVICES:
                restarts.create_task(suite.restart(name))
        stream.go_on()

    await alice.connect()

    await alice.log.until("publication", channel, count=400, deadline=30)
    assert alice.log.data(channel) == list(range(400))
