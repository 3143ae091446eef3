"""Presence is right again within a stated time after whatever crash."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest
from clients.party import Clients
from clients.sdk import SdkClient, SdkError, connected, subscribed
from eventually import eventually
from staging.suite import Suite

from warren_shared.topology.catalogue import DEFAULT_PARTITIONS, ExchangeName, presence_partition

pytestmark = [pytest.mark.e2e, pytest.mark.broker]
EXPIRY = 10.0
"""Within so many seconds everyone on a dead gateway is gone."""


async def users_in(client: SdkClient, channel: str) -> list[str]:
    return sorted(member.user for member in (await client.presence(channel)).values())


async def presence_becomes(client: SdkClient, channel: str, users: list[str], *, deadline: float = 10.0) -> None:
    async def as_expected() -> bool:
        try:
            return await users_in(client, channel) == users
        except SdkError as error:
            if error.code == 100:
                return False
            raise

    await eventually(as_expected, deadline=deadline, what=f"{users} in {channel}")


async def deal_anew(suite: Suite) -> None:
    """Give channels other partitions of presence, as a restart of the broker may."""
    exchange = f"e/{ExchangeName.PRESENCE}"
    vhost = suite.host.administrator.vhost
    queues = [presence_partition(index) for index in range(DEFAULT_PARTITIONS)]
    for queue in queues:
        await suite.broker.manage("DELETE", f"bindings/{vhost}/{exchange}/q/{queue}/1")
    for queue in reversed(queues):
        await suite.broker.manage("POST", f"bindings/{vhost}/{exchange}/q/{queue}", {"routing_key": "1"})


async def channels_by_partition(suite: Suite) -> list[float]:
    scrape = await suite.metrics("presence")
    return [scrape.total("warren_presence_channels", partition=str(index)) for index in range(DEFAULT_PARTITIONS)]


async def test_everyone_on_a_killed_gateway_is_gone_within_ten_seconds_and_the_leave_is_pushed(
    suite: Suite, clients: Clients, unique: str
) -> None:
    channel = f"chat:{unique}"
    alice = await subscribed(await connected(await clients.make("python", 0, "alice")), channel)
    bob = await subscribed(await connected(await clients.make("js", 1, "bob")), channel)
    await presence_becomes(alice, channel, ["alice", "bob"])

    async with asyncio.timeout(EXPIRY):
        await suite.kill9("gateway-2")
        await alice.log.until("leave", channel, matches=lambda event: event["user"] == "bob", deadline=EXPIRY)
        await presence_becomes(alice, channel, ["alice"])

    since = bob.log.mark()
    await suite.start("gateway-2")
    await bob.log.one("subscribed", channel, since=since)
    await presence_becomes(alice, channel, ["alice", "bob"])
    await alice.log.until("join", channel, count=2, matches=lambda event: event["user"] == "bob")


async def test_when_presence_comes_back_it_knows_everyone_again_and_nobody_who_left(
    suite: Suite, clients: Clients, unique: str
) -> None:
    channels = [f"chat:{unique}-{number}" for number in range(6)]  # over several partitions
    alice = await subscribed(await connected(await clients.make("python", 0, "alice")), *channels)
    bob = await subscribed(await connected(await clients.make("js", 1, "bob")), *channels)
    carol = await subscribed(await connected(await clients.make("python", 1, "carol")), *channels)
    for channel in channels:
        await presence_becomes(alice, channel, ["alice", "bob", "carol"])

    await suite.kill9("presence")
    await carol.disconnect()
    dave = await subscribed(await connected(await clients.make("js", 0, "dave")), *channels)
    with pytest.raises(SdkError) as caught:
        await alice.presence(channels[0])
    assert caught.value.code == 100
    await suite.start("presence")

    for channel in channels:
        for client in (alice, bob, dave):
            await presence_becomes(client, channel, ["alice", "bob", "dave"])


async def test_everyone_on_a_gateway_that_stops_in_good_order_is_gone_at_once(
    suite: Suite, clients: Clients, unique: str
) -> None:
    channel = f"chat:{unique}"
    alice = await subscribed(await connected(await clients.make("python", 0, "alice")), channel)
    bob = await subscribed(await connected(await clients.make("js", 1, "bob")), channel)
    await presence_becomes(alice, channel, ["alice", "bob"])

    await suite.stop("gateway-2")

    await presence_becomes(alice, channel, ["alice"], deadline=1.0)
    await alice.log.until("leave", channel, matches=lambda event: event["user"] == "bob", deadline=1.0)
    since = bob.log.mark()
    await suite.start("gateway-2")
    await bob.log.one("subscribed", channel, since=since)
    await presence_becomes(alice, channel, ["alice", "bob"])


async def test_presence_is_whole_again_after_the_broker_was_killed(suite: Suite, clients: Clients, unique: str) -> None:
    if not suite.broker.private:
        pytest.skip("the broker of this run is somebody else's: it is not to be killed")
    channel = f"chat:{unique}"
    alice = await subscribed(await connected(await clients.make("python", 0, "alice")), channel)
    bob = await subscribed(await connected(await clients.make("js", 1, "bob")), channel)
    carol = await subscribed(await connected(await clients.make("js", 1, "carol")), channel)
    await presence_becomes(alice, channel, ["alice", "bob", "carol"])

    await suite.kill9("rabbitmq")
    await carol.disconnect()
    await suite.start("rabbitmq")
    await suite.wait_ready()

    await presence_becomes(bob, channel, ["alice", "bob"], deadline=30)
    await presence_becomes(alice, channel, ["alice", "bob"], deadline=30)
    for client in (alice, bob):  # pushes are sent at most once, but never wrong ones
        assert {event["user"] for event in client.log.all("leave", channel)} <= {"carol"}


async def test_who_stays_while_channels_change_their_partitions_is_not_announced(
    suite: Suite, clients: Clients, unique: str
) -> None:
    # An odd number cannot be spread over the partitions so that it looks the same backwards.
    channels = [f"chat:{unique}-{number}" for number in range(11)]
    alice = await subscribed(await connected(await clients.make("python", 0, "alice")), *channels)
    bob = await subscribed(await connected(await clients.make("js", 1, "bob")), *channels)
    carol = await subscribed(await connected(await clients.make("js", 1, "carol")), *channels)
    for channel in channels:
        await presence_becomes(alice, channel, ["alice", "bob", "carol"])
        for client in (alice, bob):  # presence answers at once, and what it announces may come later
            await client.log.one("join", channel, matches=lambda event: event["user"] == "carol")
    before, marks = await channels_by_partition(suite), {client: client.log.mark() for client in (alice, bob)}

    presence = suite.pid("presence")
    os.kill(presence, signal.SIGSTOP)
    try:
        await suite.stage.run(deal_anew(suite))
        await carol.disconnect()
        dave = await subscribed(await connected(await clients.make("python", 0, "dave")), *channels)
        await suite.stage.run(suite.break_connections("warren-presence"))
    finally:
        os.kill(presence, signal.SIGCONT)

    for channel in channels:
        await presence_becomes(dave, channel, ["alice", "bob", "dave"], deadline=20)
    assert await channels_by_partition(suite) != before
    # Whatever the partitions had to say of the time before, they say before this.
    await subscribed(await connected(await clients.make("python", 1, "eve")), *channels)
    for client, mark in marks.items():
        for channel in channels:
            await client.log.one("join", channel, since=mark, matches=lambda event: event["user"] == "eve")
            pushes = [
                (event.name, event["user"])
                for name in ("join", "leave")
                for event in client.log.all(name, channel, since=mark)
            ]
            assert sorted(pushes) == [("join", "dave"), ("join", "eve"), ("leave", "carol")]
