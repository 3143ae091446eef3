"""Deltas through the whole suite: what the official SDKs put together, and what is sent."""

from __future__ import annotations

from typing import Any

import pytest
from clients.backend import Backend
from clients.party import Clients
from clients.sdk import SdkClient, connected, subscribed
from staging.suite import Suite

pytestmark = [pytest.mark.e2e, pytest.mark.broker]
every_sdk = pytest.mark.parametrize(
    "sdk",
    ["python", "js", "python protobuf", "js protobuf", "js http_stream", "js http_stream protobuf", "js sse"],
)
ROWS = [f"row {number}: größer, 世界, \U0001f407, as it always is" for number in range(60)]


def sheet(number: int) -> dict[str, Any]:
    rows = ROWS.copy()
    rows[number % len(rows)] = f"changed by {number}"
    return {"n": number, "rows": rows}


async def with_deltas(client: SdkClient, channel: str) -> SdkClient:
    await client.subscribe(channel, delta=True)
    await client.log.one("subscribed", channel)
    return client


@every_sdk
async def test_documents_that_change_arrive_whole_at_who_has_deltas_and_who_has_not(
    suite: Suite, clients: Clients, unique: str, sdk: str
) -> None:
    channel = f"sheets:{unique}"
    alice = await with_deltas(await connected(await clients.make(sdk, 0, "alice")), channel)
    plain = await subscribed(await connected(await clients.make("python", 1, "plain")), channel)
    async with Backend.connected(suite.backend_url) as backend:
        for number in range(20):
            await backend.publish(channel, sheet(number))
        await backend.publish(channel, "something else")
        await backend.publish(channel, sheet(20))
    expected = [*(sheet(number) for number in range(20)), "something else", sheet(20)]
    for client in (alice, plain):
        got = await client.log.until("publication", channel, count=22)
        assert [event["data"] for event in got] == expected
        assert [event["offset"] for event in got] == list(range(1, 23))
    assert (await alice.history(channel, limit=1, reverse=True)).publications == ((22, sheet(20)),)


@every_sdk
async def test_who_was_away_recovers_documents_and_goes_on(
    suite: Suite, clients: Clients, unique: str, sdk: str
) -> None:
    channel = f"sheets:{unique}"
    alice = await with_deltas(await connected(await clients.make(sdk, 0, "alice")), channel)
    async with Backend.connected(suite.backend_url) as backend:
        await backend.publish(channel, sheet(0))
        await alice.log.until("publication", channel)
        await alice.disconnect()
        for number in range(1, 8):
            await backend.publish(channel, sheet(number))
        await connected(alice)
        await alice.log.until("publication", channel, count=8)
        for number in range(8, 11):
            await backend.publish(channel, sheet(number))
    got = await alice.log.until("publication", channel, count=11)
    assert [event["data"] for event in got] == [sheet(number) for number in range(11)]
    assert alice.log.all("subscribed", channel)[-1]["recovered"] is True


async def test_on_the_wire_a_change_is_a_fraction_of_the_document(suite: Suite, clients: Clients, unique: str) -> None:
    channel = f"sheets:{unique}"
    async with clients.raw() as raw:
        await raw.connect(suite.token("alice"))
        assert (await raw.subscribe(channel, delta="fossil"))["delta"] is True
        async with Backend.connected(suite.backend_url) as backend:
            for number in range(3):
                await backend.publish(channel, sheet(number))
        pushes = [message["push"]["pub"] for message in await raw.several(lambda message: "push" in message, 3)]
    assert [push.get("delta", False) for push in pushes] == [False, True, True]
    assert all(isinstance(push["data"], str) for push in pushes)
    assert len(pushes[1]["data"]) < len(pushes[0]["data"]) / 8


async def test_where_they_are_not_allowed_publications_come_as_ever(
    suite: Suite, clients: Clients, unique: str
) -> None:
    async with clients.raw() as raw:
        await raw.connect(suite.token("alice"))
        for channel in (f"live:{unique}", f"chat:{unique}"):
            assert "delta" not in await raw.subscribe(channel, delta="fossil")
        await raw.send('{"id":9,"subscribe":{"channel":"sheets:x","delta":"bsdiff"}}')
        assert (await raw.closed())[0] == 3501
