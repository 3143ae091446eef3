"""What history appended together travels together, and arrives as if each publication had come alone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import aio_pika
import pytest
from aio_pika.abc import AbstractIncomingMessage
from clients.backend import Backend
from clients.party import Clients
from clients.sdk import SdkClient, connected, subscribed
from proxy import Proxy
from staging.programs import GATEWAYS
from staging.suite import Suite

from warren_shared.contracts.pack import read_pack

pytestmark = [pytest.mark.e2e, pytest.mark.broker]
SENT, RECEIVED = "warren_history_pack_publications", "warren_gateway_pack_publications"


async def burst(suite: Suite, numbers: Mapping[str, range]) -> None:
    """Publish on channels while history is away, so that it finds everything waiting when it comes back."""
    await suite.stop("history")
    async with Backend.connected(suite.backend_url) as backend:
        for channel, of_channel in numbers.items():
            confirmed = await backend.publish_all(channel, [(f"{channel}-{n}", n) for n in of_channel])
            assert confirmed == len(of_channel)
    await suite.start("history")


@asynccontextmanager
async def packed(suite: Suite, publications: int) -> AsyncIterator[None]:
    """Hold the block, which ends in so large a burst, to having most of that sent and received in packs."""
    before = {name: await suite.total(name, f"{RECEIVED}_sum") for name in GATEWAYS}
    yield
    # History counts from its start, which was in the burst.
    assert publications / 2 < await suite.total("history", f"{SENT}_sum") <= publications
    assert await suite.total("history", f"{SENT}_count") < publications / 4
    for name in GATEWAYS:
        assert await suite.total(name, f"{RECEIVED}_sum") - before[name] > publications / 2


@asynccontextmanager
async def listening(suite: Suite, key: str) -> AsyncIterator[list[AbstractIncomingMessage]]:
    """Gather what is published to gateways under a key."""
    got: list[AbstractIncomingMessage] = []

    async def keep(message: AbstractIncomingMessage) -> None:
        got.append(message)

    async with await aio_pika.connect(suite.amqp_url) as connection:
        queue = await (await connection.channel()).declare_queue(exclusive=True)
        await queue.bind("warren.deliver", key)
        await queue.consume(keep, no_ack=True)
        yield got


@asynccontextmanager
async def through_proxy(suite: Suite, clients: Clients, user: str) -> AsyncIterator[tuple[SdkClient, Proxy]]:
    url = urlsplit(suite.gateway_urls[0])
    async with Proxy.to("127.0.0.1", url.port or 0) as proxy:
        client = await clients.make("js", url._replace(netloc=f"127.0.0.1:{proxy.port}").geturl(), user)
        yield await connected(client), proxy


async def has(client: SdkClient, channel: str, count: int) -> None:
    await client.log.until("publication", channel, count=count, deadline=20)
    assert client.log.data(channel) == list(range(count))
    assert [event["offset"] for event in client.log.all("publication", channel)] == list(range(1, count + 1))


async def test_bursts_on_a_durable_channel_arrive_complete_and_in_order_also_at_who_was_away_for_one(
    suite: Suite, clients: Clients, unique: str
) -> None:
    channel = f"chat:{unique}"
    async with through_proxy(suite, clients, "alice") as (alice, proxy):
        await subscribed(alice, channel)
        bob = await subscribed(await connected(await clients.make("python", 1, "bob")), channel)
        async with packed(suite, 150):
            await burst(suite, {channel: range(150)})
            for client in (alice, bob):
                await has(client, channel, 150)

        since = alice.log.mark()
        proxy.accepting = False
        proxy.cut()
        await alice.log.one("subscribing", channel, since=since)
        async with packed(suite, 100):
            await burst(suite, {channel: range(150, 250)})
            await has(bob, channel, 250)
        proxy.accepting = True
        assert (await alice.log.one("subscribed", channel, since=since))["recovered"]

        async with packed(suite, 100):
            await burst(suite, {channel: range(250, 350)})
            for client in (alice, bob):
                await has(client, channel, 350)


async def test_bursts_on_channels_of_a_namespace_that_is_bound_whole_share_messages_and_arrive_complete(
    suite: Suite, clients: Clients, unique: str
) -> None:
    channels = [f"inbox:{unique}-{number}#alice" for number in range(8)]
    followed = channels[:3]
    first, second = (dict.fromkeys(channels, numbers) for numbers in (range(30), range(30, 50)))
    async with through_proxy(suite, clients, "alice") as (alice, proxy), listening(suite, "inbox") as shared:
        await subscribed(alice, *followed)
        other = await subscribed(await connected(await clients.make("python", 1, "alice")), *followed)
        async with packed(suite, 8 * 30):
            await burst(suite, first)
            for channel in followed:
                await has(alice, channel, 30)
                await has(other, channel, 30)

        since = alice.log.mark()
        proxy.cut()
        await burst(suite, second)
        for channel in followed:
            assert (await alice.log.one("subscribed", channel, since=since))["recovered"]
            await has(alice, channel, 50)
            await has(other, channel, 50)

    runs = [run for message in shared for run in read_pack(message.body)]
    assert {message.type for message in shared} == {"pack"}
    assert len({run.key for run in runs}) == len(channels)
    assert any(len(read_pack(message.body)) > 1 for message in shared)


async def test_a_gateways_queues_on_the_broker_are_bounded_in_messages_and_bytes(suite: Suite) -> None:
    queues = await suite.stage.run(suite.broker.manage("GET", f"queues/{suite.host.administrator.vhost}"))
    bounds = [queue["arguments"] for queue in queues if queue["name"].startswith("warren.gateway.")]

    # One for orders, one for commands that come by way of other gateways, one for all else.
    assert sorted(each["x-max-length"] for each in bounds) == sorted([10_000, 10_000, 100_000] * len(GATEWAYS))
    for arguments in bounds:
        assert arguments["x-overflow"] == "drop-head"
        assert arguments["x-max-length-bytes"] == 512 * 1024 * 1024
