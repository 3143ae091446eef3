"""Subscriptions with tags filters: both SDKs, both encodings, live and after an absence."""

from __future__ import annotations

import pytest
from clients.backend import Backend
from clients.party import Clients
from clients.sdk import SdkClient, connected
from staging.suite import Suite

pytestmark = [pytest.mark.e2e, pytest.mark.broker]
CHEAP = {
    "op": "and",
    "nodes": [{"key": "kind", "cmp": "in", "vals": ["a", "b"]}, {"key": "n", "cmp": "lt", "val": "5"}],
}
NOT_A = {"op": "not", "nodes": [{"key": "kind", "cmp": "eq", "val": "a"}]}


async def publish(backend: Backend, channel: str, *numbers: int) -> None:
    for number in numbers:
        headers = {"tag-kind": "abc"[number % 3], "tag-n": str(number)}
        await backend.publish(channel, number, headers=headers)


async def received(client: SdkClient, channel: str, last: int) -> list[int]:
    """Return what a client got until a publication that it is bound to get."""
    await client.log.one("publication", channel, matches=lambda event: event["data"] == last)
    return [int(data) for data in client.log.data(channel)]


@pytest.mark.parametrize("sdk", ["js", "python", "js protobuf", "python protobuf"])
async def test_each_client_is_sent_what_its_filter_lets_through_live_and_recovered(
    suite: Suite, clients: Clients, unique: str, sdk: str
) -> None:
    channel = f"ticks:{unique}"
    cheap, not_a = [await connected(await clients.make(sdk, gateway, unique)) for gateway in (0, 1)]
    async with Backend.connected(suite.backend_url) as backend:
        for client, wants in ((cheap, CHEAP), (not_a, NOT_A)):
            await client.subscribe(channel, tags_filter=wants)
            await client.log.one("subscribed", channel)
        await publish(backend, channel, *range(8))
        assert await received(cheap, channel, 4) == [0, 1, 3, 4]
        assert await received(not_a, channel, 7) == [1, 2, 4, 5, 7]

        for client in (cheap, not_a):
            await client.disconnect()
        await publish(backend, channel, *range(-6, 0))
        for client in (cheap, not_a):
            mark = client.log.mark()
            await client.connect()
            again = await client.log.one("subscribed", channel, since=mark)
            assert (again["was_recovering"], again["recovered"]) == (True, True)
        assert await received(cheap, channel, -2) == [0, 1, 3, 4, -6, -5, -3, -2]
        assert await received(not_a, channel, -1) == [1, 2, 4, 5, 7, -5, -4, -2, -1]


async def test_a_filter_is_refused_where_the_namespace_has_none(clients: Clients, unique: str) -> None:
    client = await connected(await clients.make("js", 0, unique))
    await client.subscribe(f"live:{unique}", tags_filter=NOT_A)
    assert (await client.log.one("unsubscribed", f"live:{unique}"))["code"] == 107
