"""Durable channels: missing publications and getting them back, and reading history."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import pytest
from clients.backend import Backend
from clients.party import Clients
from clients.sdk import connected, subscribed
from proxy import Proxy
from staging.suite import Suite

pytestmark = [pytest.mark.e2e, pytest.mark.broker]
all_sdks = pytest.mark.parametrize("sdk", ["python", "js", "python protobuf", "js protobuf"])


def proxied(url: str, proxy: Proxy) -> str:
    return urlsplit(url)._replace(netloc=f"127.0.0.1:{proxy.port}").geturl()


@all_sdks
@pytest.mark.parametrize("gateway", [0, 1])
async def test_who_is_cut_off_and_misses_20_publications_recovers_exactly_those_in_order(
    suite: Suite, clients: Clients, unique: str, sdk: str, gateway: int
) -> None:
    channel, url = f"chat:{unique}", suite.gateway_urls[gateway]
    async with (
        Proxy.to("127.0.0.1", urlsplit(url).port or 0) as proxy,
        Backend.connected(suite.backend_url) as backend,
    ):
        alice = await subscribed(await connected(await clients.make(sdk, proxied(url, proxy), "alice")), channel)
        bob = await subscribed(await connected(await clients.make("python", 1 - gateway, "bob")), channel)
        for number in range(5):
            await bob.publish(channel, number)
        await alice.log.until("publication", channel, count=5)

        since = alice.log.mark()
        proxy.accepting = False
        proxy.cut()
        await alice.log.one("subscribing", channel, since=since)
        for number in range(5, 25):
            await backend.publish(channel, number)
        await bob.log.until("publication", channel, count=25)
        assert alice.log.data(channel) == list(range(5))
        proxy.accepting = True

        again = await alice.log.one("subscribed", channel, since=since)
        missed = await alice.log.until("publication", channel, count=20, since=since)
        await bob.publish(channel, 25)
        for client in (alice, bob):
            await client.log.until("publication", channel, count=26)

    assert (again["was_recovering"], again["recovered"]) == (True, True)
    assert [event["offset"] for event in missed] == list(range(6, 26))
    assert alice.log.data(channel) == bob.log.data(channel) == list(range(26))


@all_sdks
async def test_who_recovers_on_another_gateway_misses_nothing_either(
    suite: Suite, clients: Clients, unique: str, sdk: str
) -> None:
    channel = f"chat:{unique}"
    async with (
        Proxy.to("127.0.0.1", urlsplit(suite.gateway_urls[0]).port or 0) as proxy,
        Backend.connected(suite.backend_url) as backend,
    ):
        url = proxied(suite.gateway_urls[0], proxy)
        alice = await subscribed(await connected(await clients.make(sdk, url, "alice")), channel)
        await backend.publish(channel, 0)
        await alice.log.until("publication", channel)

        since = alice.log.mark()
        proxy.lead_to("127.0.0.1", urlsplit(suite.gateway_urls[1]).port or 0)
        proxy.cut()
        for number in range(1, 10):
            await backend.publish(channel, number)

        assert (await alice.log.one("subscribed", channel, since=since))["recovered"]
        await alice.log.until("publication", channel, count=10)
    assert alice.log.data(channel) == list(range(10))


@all_sdks
async def test_recovering_while_publications_keep_coming_keeps_them_all_in_order(
    suite: Suite, clients: Clients, unique: str, sdk: str
) -> None:
    channel, count = f"chat:{unique}", 300
    async with (
        Proxy.to("127.0.0.1", urlsplit(suite.gateway_urls[0]).port or 0) as proxy,
        Backend.connected(suite.backend_url) as backend,
        asyncio.TaskGroup() as group,
    ):
        url = proxied(suite.gateway_urls[0], proxy)
        alice = await subscribed(await connected(await clients.make(sdk, url, "alice")), channel)

        async def publish() -> None:
            for number in range(count):
                await backend.publish(channel, number)

        group.create_task(publish())
        for cut_after in (20, 80, 150):
            await alice.log.until("publication", channel, count=cut_after)
            proxy.cut()
        await alice.log.until("publication", channel, count=count, deadline=30)

    assert alice.log.data(channel) == list(range(count))


@all_sdks
async def test_what_has_left_the_window_is_not_claimed_to_be_recovered(
    suite: Suite, clients: Clients, unique: str, sdk: str
) -> None:
    channel = f"short:{unique}"
    alice = await subscribed(await connected(await clients.make(sdk, 0, "alice")), channel)
    bob = await subscribed(await connected(await clients.make("python", 1, "bob")), channel)
    async with Backend.connected(suite.backend_url) as backend:
        await backend.publish(channel, 0)
        await alice.log.one("publication", channel)
        await alice.disconnect()
        for number in range(1, 8):
            await backend.publish(channel, number)
        await bob.log.until("publication", channel, count=8)
        since = alice.log.mark()
        await alice.connect()

        again = await alice.log.one("subscribed", channel, since=since)
        await backend.publish(channel, 8)
        await alice.log.until("publication", channel, since=since)

    assert (again["was_recovering"], again["recovered"], again["offset"]) == (True, False, 8)
    assert alice.log.data(channel) == [0, 8]


@all_sdks
async def test_history_is_read_by_limit_since_and_reverse(
    suite: Suite, clients: Clients, unique: str, sdk: str
) -> None:
    channel = f"chat:{unique}"
    alice = await subscribed(await connected(await clients.make(sdk, 1, "alice")), channel)
    async with Backend.connected(suite.backend_url) as backend:
        for number in range(1, 11):
            await backend.publish(channel, number)
    await alice.log.until("publication", channel, count=10)

    position = await alice.history(channel)
    assert (position.offset, position.publications) == (10, ())
    epoch = position.epoch

    async def offsets(
        *, limit: int, since: tuple[int, str] | None = None, reverse: bool = False
    ) -> list[tuple[int, int]]:
        page = await alice.history(channel, limit=limit, since=since, reverse=reverse)
        assert (page.offset, page.epoch) == (10, epoch)
        return list(page.publications)

    def expected(*numbers: int) -> list[tuple[int, int]]:
        return [(number, number) for number in numbers]

    assert await offsets(limit=-1) == expected(*range(1, 11))
    assert await offsets(limit=3) == expected(1, 2, 3)
    assert await offsets(limit=3, since=(4, epoch)) == expected(5, 6, 7)
    assert await offsets(limit=3, since=(10, epoch)) == []
    assert await offsets(limit=3, reverse=True) == expected(10, 9, 8)
    assert await offsets(limit=2, since=(4, epoch), reverse=True) == expected(3, 2)
