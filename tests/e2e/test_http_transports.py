"""The official JS SDK with nothing but HTTP: streams from one gateway, commands sent to another one."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import pytest
from clients.backend import Backend
from clients.curl import curl
from clients.party import Clients
from clients.sdk import SdkClient, connected, subscribed
from eventually import eventually
from staging.suite import Suite

pytestmark = [pytest.mark.e2e, pytest.mark.broker]
ALL = pytest.mark.parametrize("sdk", ["js http_stream", "js http_stream protobuf", "js sse"])


async def over_http(clients: Clients, sdk: str) -> SdkClient:
    """A connected client whose stream comes from the first gateway and whose commands go to the second."""
    return await connected(await clients.make(sdk, 0, "alice", emulation=1))


@ALL
@pytest.mark.parametrize("namespace", ["live", "chat"])
async def test_publications_go_both_ways_with_clients_on_websockets(
    clients: Clients, unique: str, sdk: str, namespace: str
) -> None:
    channel = f"{namespace}:{unique}"
    alice = await subscribed(await over_http(clients, sdk), channel)
    bob = await subscribed(await connected(await clients.make("python", 1, "bob")), channel)
    await alice.publish(channel, {"from": "alice"})
    await bob.publish(channel, {"from": "bob"})
    for client in (alice, bob):
        got = await client.log.until("publication", channel, count=2)
        assert sorted(event["data"]["from"] for event in got) == ["alice", "bob"]


@ALL
async def test_commands_to_another_gateway_are_carried_out_by_the_one_with_the_stream(
    clients: Clients, unique: str, sdk: str
) -> None:
    channel = f"chat:{unique}"
    alice = await subscribed(await over_http(clients, sdk), channel)
    for number in range(20):
        await alice.publish(channel, number)
    await alice.log.until("publication", channel, count=20)
    assert alice.log.data(channel) == list(range(20))
    page = await alice.history(channel, limit=-1)
    assert [data for _, data in page.publications] == list(range(20))

    async def is_there() -> bool:
        return await alice.presence_stats(channel) == (1, 1)

    await eventually(is_there)
    await alice.unsubscribe(channel)
    await alice.log.one("unsubscribed", channel)


@ALL
async def test_pings_are_answered_through_another_gateway(
    suite: Suite, clients: Clients, unique: str, sdk: str
) -> None:
    alice = await subscribed(await over_http(clients, sdk), f"live:{unique}")
    for _ in range(2):  # who came later has as long as alice had
        async with clients.raw(pongs=False) as silent:
            await silent.connect(suite.token("silent"))
            assert (await silent.closed())[0] == 3012
    await alice.publish(f"live:{unique}", 1)
    await alice.log.one("publication", f"live:{unique}")
    assert not alice.log.all("disconnected")
    assert len(alice.log.all("connecting")) == 1


@ALL
async def test_who_was_away_recovers_what_was_missed(suite: Suite, clients: Clients, unique: str, sdk: str) -> None:
    channel = f"chat:{unique}"
    alice = await subscribed(await over_http(clients, sdk), channel)
    async with Backend.connected(suite.backend_url) as backend:
        await backend.publish(channel, 0)
        await alice.log.one("publication", channel)
        await alice.disconnect()
        for number in range(1, 6):
            await backend.publish(channel, number)
    await alice.connect()
    await alice.log.until("publication", channel, count=6)
    assert alice.log.data(channel) == list(range(6))


@ALL
async def test_a_gateway_that_stops_sends_its_clients_away_and_they_come_back(
    suite: Suite, clients: Clients, unique: str, sdk: str
) -> None:
    alice = await subscribed(await over_http(clients, sdk), f"live:{unique}")
    mark = alice.log.mark()
    await suite.stop("gateway-1")
    assert (await alice.log.one("connecting", since=mark))["code"] == 3001
    await suite.start("gateway-1")
    await alice.log.one("connected", since=mark)


@ALL
async def test_a_client_whose_commands_reach_no_gateway_connects_anew_until_they_do(
    suite: Suite, clients: Clients, unique: str, sdk: str
) -> None:
    alice = await over_http(clients, sdk)
    mark = alice.log.mark()
    await suite.stop("gateway-2")
    await alice.subscribe(f"live:{unique}")
    await alice.log.one("connecting", since=mark)
    assert not alice.log.all("subscribed")
    await suite.start("gateway-2")
    await alice.log.one("subscribed", f"live:{unique}")


@ALL
async def test_a_bad_token_is_final(clients: Clients, sdk: str) -> None:
    mallory = await clients.make(sdk, 0, "mallory", text="no.token.atall")
    await mallory.connect()
    assert (await mallory.log.one("disconnected"))["code"] == 3500


async def test_curl_alone_is_a_client(suite: Suite, unique: str) -> None:
    """As docs/client-protocol.md shows it; the command is sent to the other gateway."""
    urls = [urlsplit(url)._replace(scheme="http", path="").geturl() for url in suite.gateway_urls]
    connect = {"id": 1, "connect": {"token": suite.token("alice")}}
    subscribe = {"id": 2, "subscribe": {"channel": f"live:{unique}"}}
    async with curl(f"{urls[0]}/connection/http_stream", "\n".join(map(json.dumps, (connect, subscribe)))) as stream:
        result = json.loads(await stream.readline())["connect"]
        assert json.loads(await stream.readline()) == {"id": 2, "subscribe": {}}
        publish = {"id": 3, "publish": {"channel": f"live:{unique}", "data": "hello"}}
        posted = {"session": result["session"], "node": result["node"], "data": json.dumps(publish)}
        async with curl(f"{urls[1]}/emulation", json.dumps(posted)) as nothing:
            assert await nothing.read() == b""
        told = [json.loads(await stream.readline()) for _ in range(2)]
        assert {"id": 3, "publish": {}} in told
        assert any(each.get("push", {}).get("pub", {}).get("data") == "hello" for each in told)
