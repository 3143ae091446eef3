"""Presence across gateways: queries, joins and leaves."""

from __future__ import annotations

import pytest
from clients.party import Clients
from clients.sdk import SdkClient, SdkError, connected, subscribed
from eventually import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.broker]
pairs = pytest.mark.parametrize(
    ("first", "second"),
    [("python", "js"), ("js", "python"), ("python protobuf", "js"), ("js protobuf", "python protobuf")],
)


async def users_in(client: SdkClient, channel: str) -> list[str]:
    return sorted(member.user for member in (await client.presence(channel)).values())


@pairs
async def test_both_see_each_other_with_their_info_and_both_are_counted(
    clients: Clients, unique: str, first: str, second: str
) -> None:
    channel = f"chat:{unique}"
    alice = await subscribed(await connected(await clients.make(first, 0, "alice", info={"name": "Alice"})), channel)
    bob = await subscribed(await connected(await clients.make(second, 1, "bob", info={"name": "Bob"})), channel)

    for client in (alice, bob):

        async def both_are_there(client: SdkClient = client) -> bool:
            return await users_in(client, channel) == ["alice", "bob"]

        await eventually(both_are_there)
        members = {member.user: member for member in (await client.presence(channel)).values()}
        assert members["alice"].conn_info == {"name": "Alice"}
        assert members["bob"].client == (await bob.log.one("connected"))["client"]
        assert await client.presence_stats(channel) == (2, 2)


async def test_two_connections_of_one_user_count_as_one_user(clients: Clients, unique: str) -> None:
    channel = f"chat:{unique}"
    phone = await subscribed(await connected(await clients.make("python", 0, "alice")), channel)
    await subscribed(await connected(await clients.make("js", 1, "alice")), channel)

    async def counted() -> bool:
        return await phone.presence_stats(channel) == (2, 1)

    await eventually(counted)


@pairs
async def test_joins_and_leaves_are_pushed_across_gateways(
    clients: Clients, unique: str, first: str, second: str
) -> None:
    channel = f"chat:{unique}"
    alice = await subscribed(await connected(await clients.make(first, 0, "alice")), channel)
    bob = await subscribed(await connected(await clients.make(second, 1, "bob")), channel)
    carol = await subscribed(await connected(await clients.make(first, 1, "carol")), channel)

    await alice.log.until("join", channel, matches=lambda event: event["user"] == "bob")
    await alice.log.until("join", channel, matches=lambda event: event["user"] == "carol")
    await bob.unsubscribe(channel)
    await alice.log.until("leave", channel, matches=lambda event: event["user"] == "bob")
    await carol.disconnect()
    await alice.log.until("leave", channel, matches=lambda event: event["user"] == "carol")

    assert await users_in(alice, channel) == ["alice"]
    pushes = [(event.name, event["user"]) for event in alice.log.events if event.name in ("join", "leave")]
    assert [push for push in pushes if push[1] != "alice"] == [
        ("join", "bob"),
        ("join", "carol"),
        ("leave", "bob"),
        ("leave", "carol"),
    ]


async def test_presence_is_asked_for_where_the_namespace_keeps_and_allows_it(clients: Clients, unique: str) -> None:
    alice = await connected(await clients.make("python", 0, "alice"))
    await subscribed(alice, f"readonly:{unique}")

    with pytest.raises(SdkError) as not_kept:
        await alice.presence(f"readonly:{unique}")
    with pytest.raises(SdkError) as not_subscribed:
        await alice.presence(f"chat:{unique}")

    assert (not_kept.value.code, not_subscribed.value.code) == (108, 103)
