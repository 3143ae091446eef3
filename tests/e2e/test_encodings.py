"""Channels on which the official SDKs speak JSON and Protobuf side by side, and what only Protobuf can carry."""

from __future__ import annotations

import pytest
from clients.backend import Backend
from clients.party import Clients
from clients.sdk import SdkClient, SdkError, connected, subscribed
from eventually import eventually
from staging.suite import Suite

pytestmark = [pytest.mark.e2e, pytest.mark.broker]
SDKS = ("python", "js", "python protobuf", "js protobuf")
NO_JSON = b"\x00\xff"
SHOWN = {"bytes": list(NO_JSON)}
"""As the test clients show bytes that are no JSON."""


async def everybody(clients: Clients, channel: str) -> dict[str, SdkClient]:
    """A client of each SDK in each encoding, under users of those names, on a channel."""
    return {
        sdk: await subscribed(await connected(await clients.make(sdk, 0, sdk, info={"speaks": sdk})), channel)
        for sdk in SDKS
    }


@pytest.mark.parametrize("namespace", ["live", "chat"])
async def test_all_sdks_in_both_encodings_get_the_same_from_one_another(
    suite: Suite, clients: Clients, unique: str, namespace: str
) -> None:
    channel = f"{namespace}:{unique}"
    room = await everybody(clients, channel)
    for number, client in enumerate(room.values()):
        await client.publish(channel, {"n": number, "text": "h\u00e9llo \U0001f407\n"})
    async with Backend.connected(suite.backend_url) as backend:
        await backend.publish(channel, {"n": 4}, headers={"tag-kind": "greeting"})

    for client in room.values():
        got = sorted(await client.log.until("publication", channel, count=5), key=lambda event: event["data"]["n"])
        assert [event["data"] for event in got[:4]] == [
            {"n": number, "text": "h\u00e9llo \U0001f407\n"} for number in range(4)
        ]
        assert [event["user"] for event in got] == [*SDKS, None]
        assert got[4]["tags"] == {"kind": "greeting"}
        assert [event["offset"] for event in got] == ([1, 2, 3, 4, 5] if namespace == "chat" else [None] * 5)


async def test_who_is_there_and_what_was_said_is_the_same_in_both_encodings(clients: Clients, unique: str) -> None:
    channel = f"chat:{unique}"
    room = await everybody(clients, channel)
    for client in room.values():
        await client.publish(channel, "hello")

    for client in room.values():

        async def all_are_there(client: SdkClient = client) -> bool:
            return await client.presence_stats(channel) == (4, 4)

        await eventually(all_are_there)
        members = (await client.presence(channel)).values()
        assert {member.user: member.conn_info for member in members} == {sdk: {"speaks": sdk} for sdk in SDKS}
        page = await client.history(channel, limit=-1)
        assert (page.offset, page.publications) == (4, tuple((offset, "hello") for offset in range(1, 5)))


@pytest.mark.parametrize("sdk", ["python protobuf", "js protobuf"])
async def test_errors_have_the_codes_they_have_in_json(clients: Clients, unique: str, sdk: str) -> None:
    objects = f"objects:{unique}"
    alice = await subscribed(await connected(await clients.make(sdk, 0, "alice")), objects)
    for channel, code in {f"nowhere:{unique}": 102, f"closed:{unique}": 103, f"live:{unique}.*": 107}.items():
        await alice.subscribe(channel)
        assert (await alice.log.one("unsubscribed", channel))["code"] == code

    with pytest.raises(SdkError) as no_object:
        await alice.publish(objects, [1])
    with pytest.raises(SdkError) as not_subscribed:
        await alice.history(f"chat:{unique}")
    with pytest.raises(SdkError) as not_kept:
        await alice.presence(f"readonly:{unique}")
    assert [caught.value.code for caught in (no_object, not_subscribed, not_kept)] == [107, 103, 108]


async def test_bytes_reach_clients_in_protobuf_live_recovered_and_in_histories_and_end_those_in_json(
    suite: Suite, clients: Clients, unique: str
) -> None:
    channel = f"octets:{unique}"
    room = await everybody(clients, channel)
    away, present = room["python protobuf"], room["js protobuf"]
    async with Backend.connected(suite.backend_url) as backend:
        await backend.publish(channel, {"n": 1})
        for client in room.values():
            await client.log.one("publication", channel)
        await away.disconnect()
        await backend.publish_bytes(f"octets.{unique}", NO_JSON)

    for client in (room["python"], room["js"]):
        assert (await client.log.one("disconnected"))["code"] == 3506
        assert client.log.data(channel) == [{"n": 1}]
    await away.connect()
    for client in (away, present):
        await client.log.until("publication", channel, count=2)
        assert client.log.data(channel) == [{"n": 1}, SHOWN]
        assert (await client.history(channel, limit=-1)).publications == ((1, {"n": 1}), (2, SHOWN))
