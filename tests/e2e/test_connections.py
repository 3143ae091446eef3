"""Connecting with the official SDKs: tokens, refreshes, subscriptions by the server."""

from __future__ import annotations

import asyncio

import pytest
from clients.backend import Backend
from clients.party import Clients
from clients.sdk import SdkError, connected
from staging.suite import Suite

pytestmark = [pytest.mark.e2e, pytest.mark.broker]
all_sdks = pytest.mark.parametrize("sdk", ["python", "js", "python protobuf", "js protobuf"])


@all_sdks
async def test_a_client_connects_with_a_token(clients: Clients, unique: str, sdk: str) -> None:
    client = await connected(await clients.make(sdk, 0, unique))

    assert (await client.log.one("connected"))["client"]


@all_sdks
async def test_the_channels_of_a_token_are_subscribed_by_the_server(
    suite: Suite, clients: Clients, unique: str, sdk: str
) -> None:
    durable, live = f"chat:{unique}", f"live:{unique}"
    client = await connected(await clients.make(sdk, 1, unique, channels=[durable, live]))
    await client.log.until("subscribed", durable)
    await client.log.until("subscribed", live)

    async with Backend.connected(suite.backend_url) as backend:
        await backend.publish(durable, {"n": 1})
        await backend.publish(live, {"n": 2})

    assert (await client.log.one("publication", durable))["data"] == {"n": 1}
    assert (await client.log.one("publication", live))["data"] == {"n": 2}


@all_sdks
async def test_a_server_side_subscription_recovers_what_was_missed(
    suite: Suite, clients: Clients, unique: str, sdk: str
) -> None:
    channel = f"chat:{unique}"
    client = await connected(await clients.make(sdk, 0, unique, channels=[channel]))
    await client.log.one("subscribed", channel)
    async with Backend.connected(suite.backend_url) as backend:
        await backend.publish(channel, 0)
        await client.log.one("publication", channel)
        await client.disconnect()
        for number in range(1, 6):
            await backend.publish(channel, number)

    await client.connect()

    await client.log.until("publication", channel, count=6)
    assert client.log.data(channel) == list(range(6))


@all_sdks
async def test_an_expiring_token_is_refreshed_without_a_reconnect(
    suite: Suite, clients: Clients, unique: str, sdk: str
) -> None:
    refreshed = asyncio.Semaphore(0)

    async def get_token() -> str:
        refreshed.release()
        return suite.token(unique, ttl=2)

    client = await connected(await clients.make(sdk, 0, unique, get_token=get_token))
    async with asyncio.timeout(15):
        for _ in range(3):  # the first one was for connecting
            await refreshed.acquire()

    assert len(client.log.all("connected")) == 1
    assert not client.log.all("disconnected")


@all_sdks
async def test_an_expired_token_makes_the_sdk_fetch_another(
    suite: Suite, clients: Clients, unique: str, sdk: str
) -> None:
    tokens = iter([suite.token(unique, ttl=-10), suite.token(unique)])

    async def get_token() -> str:
        return next(tokens)

    client = await connected(await clients.make(sdk, 1, unique, get_token=get_token))

    assert 109 in [event["code"] for event in client.log.all("error")]


@all_sdks
async def test_an_invalid_token_is_final(clients: Clients, unique: str, sdk: str) -> None:
    client = await clients.make(sdk, 0, unique, text="not.a.token")
    await client.connect()

    assert (await client.log.one("disconnected"))["code"] == 3500


@all_sdks
async def test_an_rpc_is_answered_not_available(clients: Clients, unique: str, sdk: str) -> None:
    client = await connected(await clients.make(sdk, 0, unique))

    with pytest.raises(SdkError) as caught:
        await client.rpc("anything", {})
    assert caught.value.code == 108


@all_sdks
async def test_a_gateway_that_restarts_sends_its_clients_away_and_they_come_back(
    suite: Suite, clients: Clients, unique: str, sdk: str
) -> None:
    client = await connected(await clients.make(sdk, 0, unique))
    since = client.log.mark()

    await suite.restart("gateway-1")

    assert (await client.log.one("connecting", since=since))["code"] == 3001
    await client.log.one("connected", since=since)
