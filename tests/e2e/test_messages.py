"""Publishing and receiving across gateways, between the official SDKs and from backends."""

from __future__ import annotations

import pytest
from clients.backend import Backend
from clients.party import Clients
from clients.sdk import SdkError, connected, subscribed
from staging.suite import Suite

pytestmark = [pytest.mark.e2e, pytest.mark.broker]
pairs = pytest.mark.parametrize(
    ("first", "second"),
    [("python", "js"), ("js", "python"), ("python protobuf", "js"), ("js protobuf", "python protobuf")],
)
kinds = pytest.mark.parametrize("namespace", ["live", "chat"])


@pairs
@kinds
async def test_publications_cross_the_gateways_both_ways_and_come_back_to_their_publisher(
    clients: Clients, unique: str, first: str, second: str, namespace: str
) -> None:
    channel = f"{namespace}:{unique}"
    alice = await subscribed(await connected(await clients.make(first, 0, "alice")), channel)
    bob = await subscribed(await connected(await clients.make(second, 1, "bob")), channel)

    for number in range(10):
        await alice.publish(channel, {"from": "alice", "n": number})
        await bob.publish(channel, {"from": "bob", "n": number})

    for client in (alice, bob):
        got = await client.log.until("publication", channel, count=20)
        for user in ("alice", "bob"):
            of_user = [event for event in got if event["data"]["from"] == user]
            assert [event["data"]["n"] for event in of_user] == list(range(10))
            assert {event["user"] for event in of_user} == {user}


@pairs
async def test_publications_of_a_durable_channel_are_numbered_alike_for_everybody(
    clients: Clients, unique: str, first: str, second: str
) -> None:
    channel = f"chat:{unique}"
    alice = await subscribed(await connected(await clients.make(first, 0, "alice")), channel)
    bob = await subscribed(await connected(await clients.make(second, 1, "bob")), channel)
    for number in range(5):
        await alice.publish(channel, number)

    for client in (alice, bob):
        got = await client.log.until("publication", channel, count=5)
        assert [(event["offset"], event["data"]) for event in got] == [(n + 1, n) for n in range(5)]


@pairs
@kinds
async def test_what_a_backend_publishes_reaches_every_gateway_with_its_tags(
    suite: Suite, clients: Clients, unique: str, first: str, second: str, namespace: str
) -> None:
    channel = f"{namespace}:{unique}"
    alice = await subscribed(await connected(await clients.make(first, 0, "alice")), channel)
    bob = await subscribed(await connected(await clients.make(second, 1, "bob")), channel)
    payload = {"text": "h\u00e9llo \u4e16\u754c \U0001f407", "nested": [1, 2.5, None, True], "newline": "a\nb"}

    async with Backend.connected(suite.backend_url) as backend:
        await backend.publish(channel, payload, headers={"tag-kind": "greeting"})

    for client in (alice, bob):
        event = await client.log.one("publication", channel)
        assert (event["data"], event["tags"], event["user"]) == (payload, {"kind": "greeting"}, None)


async def test_json_over_several_lines_arrives_as_one_publication(suite: Suite, clients: Clients, unique: str) -> None:
    channels = [f"chat:{unique}", f"live:{unique}"]
    alice = await subscribed(await connected(await clients.make("js", 0, "alice")), *channels)

    async with Backend.connected(suite.backend_url) as backend:
        for channel in channels:
            await backend.publish_bytes(channel.replace(":", "."), b'{\n  "a": 1,\r\n  "b": "x"\n}\n')

    for channel in channels:
        assert (await alice.log.one("publication", channel))["data"] == {"a": 1, "b": "x"}


async def test_a_repeated_message_id_is_delivered_once(suite: Suite, clients: Clients, unique: str) -> None:
    channel = f"chat:{unique}"
    alice = await subscribed(await connected(await clients.make("python", 0, "alice")), channel)

    async with Backend.connected(suite.backend_url) as backend:
        for _ in range(3):
            await backend.publish(channel, "once", message_id=f"{unique}-a")
        await backend.publish(channel, "last", message_id=f"{unique}-b")

    await alice.log.until("publication", channel, matches=lambda event: bool(event["data"] == "last"))
    assert alice.log.data(channel) == ["once", "last"]


@pytest.mark.parametrize("sdk", ["python", "js", "python protobuf", "js protobuf"])
async def test_after_unsubscribing_nothing_more_arrives(suite: Suite, clients: Clients, unique: str, sdk: str) -> None:
    left, kept = f"live:{unique}-left", f"live:{unique}-kept"
    alice = await subscribed(await connected(await clients.make(sdk, 0, "alice")), left, kept)
    await alice.unsubscribe(left)
    await alice.log.one("unsubscribed", left)

    # Its own reply says that the gateway has handled the unsubscribe command before this one.
    with pytest.raises(SdkError):
        await alice.rpc("anything", {})
    async with Backend.connected(suite.backend_url) as backend:
        await backend.publish(left, 1)
        await backend.publish(kept, 2)

    await alice.log.one("publication", kept)
    assert alice.log.data(left) == []


async def test_a_channel_without_a_namespace_works_like_any_other(suite: Suite, clients: Clients, unique: str) -> None:
    alice = await subscribed(await connected(await clients.make("python", 0, "alice")), unique)
    bob = await subscribed(await connected(await clients.make("js", 1, "bob")), unique)

    await bob.publish(unique, {"n": 1})
    async with Backend.connected(suite.backend_url) as backend:
        await alice.log.until("publication", unique)
        await backend.publish(unique, {"n": 2})

    await alice.log.until("publication", unique, count=2)
    assert alice.log.data(unique) == [{"n": 1}, {"n": 2}]


async def test_a_user_limited_channel_admits_its_users_alone(suite: Suite, clients: Clients, unique: str) -> None:
    channel = f"inbox:{unique}#alice"
    alice = await subscribed(await connected(await clients.make("python", 0, "alice")), channel)
    bob = await connected(await clients.make("js", 1, "bob"))
    await bob.subscribe(channel)
    assert (await bob.log.one("unsubscribed", channel))["code"] == 103

    async with Backend.connected(suite.backend_url) as backend:
        await backend.publish(channel, "private")

    await alice.log.one("publication", channel)
    assert bob.log.data(channel) == []


@pytest.mark.parametrize("sdk", ["python", "js", "python protobuf", "js protobuf"])
async def test_publishing_is_refused_where_the_namespace_does_not_allow_it(
    clients: Clients, unique: str, sdk: str
) -> None:
    channel = f"readonly:{unique}"
    alice = await subscribed(await connected(await clients.make(sdk, 0, "alice")), channel)

    with pytest.raises(SdkError) as caught:
        await alice.publish(channel, 1)
    assert caught.value.code == 103
