"""Channels of which who comes is given just the latest publication (cache recovery mode)."""

from __future__ import annotations

import pytest
from clients.backend import Backend
from clients.party import Clients
from clients.sdk import SdkClient, connected, subscribed
from staging.suite import Suite

pytestmark = [pytest.mark.e2e, pytest.mark.broker]
both_sdks = pytest.mark.parametrize("sdk", ["python", "js"])
GIVES_WHEN_ASKED, GIVES_ALWAYS = "last", "board"


async def recovering(client: SdkClient, channel: str) -> SdkClient:
    await client.subscribe(channel, recover=True)
    await client.log.one("subscribed", channel)
    return client


@both_sdks
async def test_who_asks_on_its_first_subscribe_is_given_the_latest_and_then_what_comes(
    suite: Suite, clients: Clients, unique: str, sdk: str
) -> None:
    channel = f"{GIVES_WHEN_ASKED}:{unique}"
    async with Backend.connected(suite.backend_url) as backend:
        other = await subscribed(await connected(await clients.make("python", 1, "other")), channel)
        for number in range(1, 6):
            await backend.publish(channel, number)
        await other.log.until("publication", channel, count=5)

        alice = await recovering(await connected(await clients.make(sdk, 0, "alice")), channel)
        await alice.log.one("publication", channel)
        await backend.publish(channel, 6)
        await alice.log.until("publication", channel, count=2)

    first = await alice.log.one("subscribed", channel)
    assert (first["was_recovering"], first["recovered"], first["recoverable"]) == (True, True, True)
    assert [(event["offset"], event["data"]) for event in alice.log.all("publication", channel)] == [(5, 5), (6, 6)]
    assert other.log.data(channel) == [1, 2, 3, 4, 5, 6]


@both_sdks
async def test_who_was_away_gets_the_latest_of_what_it_missed_and_nothing_if_it_missed_nothing(
    suite: Suite, clients: Clients, unique: str, sdk: str
) -> None:
    channel = f"{GIVES_WHEN_ASKED}:{unique}"
    async with Backend.connected(suite.backend_url) as backend:
        other = await subscribed(await connected(await clients.make("python", 1, "other")), channel)
        alice = await subscribed(await connected(await clients.make(sdk, 0, "alice")), channel)
        await backend.publish(channel, 1)
        await alice.log.until("publication", channel)

        outcomes = []
        for missed in ((2, 3, 4), ()):
            await alice.disconnect()
            for number in missed:
                await backend.publish(channel, number)
            await other.log.until("publication", channel, count=4)
            since = alice.log.mark()
            await alice.connect()
            again = await alice.log.one("subscribed", channel, since=since)
            outcomes.append((again["was_recovering"], again["recovered"]))
        await backend.publish(channel, 5)
        await alice.log.until("publication", channel, count=3)

    assert outcomes == [(True, True), (True, True)]
    assert alice.log.data(channel) == [1, 4, 5]


async def test_where_there_is_nothing_yet_nobody_is_recovered_but_gets_what_comes(
    suite: Suite, clients: Clients, unique: str
) -> None:
    channel = f"{GIVES_WHEN_ASKED}:{unique}"
    alice = await recovering(await connected(await clients.make("js", 0, "alice")), channel)
    # This SDK asks for all or nothing, and so again and again until there is something.
    bob = await connected(await clients.make("python", 1, "bob"))
    await bob.subscribe(channel, recover=True)
    async with Backend.connected(suite.backend_url) as backend:
        await backend.publish(channel, 1)
        for client in (alice, bob):
            await client.log.until("publication", channel)

    first = await alice.log.one("subscribed", channel)
    assert (first["was_recovering"], first["recovered"]) == (True, False)
    assert alice.log.data(channel) == bob.log.data(channel) == [1]


@both_sdks
async def test_where_the_namespace_says_so_the_latest_is_given_without_being_asked_for(
    suite: Suite, clients: Clients, unique: str, sdk: str
) -> None:
    channel, its_own = f"{GIVES_ALWAYS}:{unique}", f"{GIVES_ALWAYS}:{unique}-own"
    async with Backend.connected(suite.backend_url) as backend:
        other = await subscribed(await connected(await clients.make("python", 1, "other")), channel, its_own)
        for each in (channel, its_own):
            for number in range(1, 6):
                await backend.publish(each, number)
            await other.log.until("publication", each, count=5)

        alice = await connected(await clients.make(sdk, 0, "alice", channels=[its_own]))
        await subscribed(alice, channel)
        for each in (channel, its_own):
            await alice.log.until("publication", each)
        await backend.publish(channel, 6)
        await alice.log.until("publication", channel, count=2)

    first = await alice.log.one("subscribed", channel)
    assert (first["was_recovering"], first["recovered"]) == (False, True)
    assert (alice.log.data(channel), alice.log.data(its_own)) == ([5, 6], [5])


async def test_on_the_wire_the_reply_begins_where_the_client_was_and_an_error_is_for_who_wants_all_or_nothing(
    suite: Suite, clients: Clients, unique: str
) -> None:
    channel = f"{GIVES_WHEN_ASKED}:{unique}"
    async with clients.raw() as alice, Backend.connected(suite.backend_url) as backend:
        await alice.connect(suite.token("alice"))
        asked = {"channel": channel, "recover": True, "flag": 3}
        assert await alice.error(subscribe=asked) == 112
        assert await alice.error(history={"channel": channel}) == 103, "there is no subscription"
        epoch = (await alice.subscribe(channel))["epoch"]
        for number in (1, 2, 3):
            await backend.publish(channel, number)
        await alice.publications(channel, 3)

        replies = []
        for since in ({}, {"epoch": epoch, "offset": 1}, {"epoch": "_"}, {"epoch": epoch, "offset": 3}):
            await alice.call(unsubscribe={"channel": channel})
            reply = await alice.subscribe(channel, recover=True, flag=3, **since)
            assert (reply["was_recovering"], reply["recovered"], reply["epoch"]) == (True, True, epoch)
            replies.append((reply.get("offset", 0), [each["offset"] for each in reply.get("publications", [])]))
    assert replies == [(0, [3]), (1, [3]), (0, [3]), (3, [])]
