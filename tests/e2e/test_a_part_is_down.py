"""What goes on, and what is told to clients, while one part is down."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable

import aiohttp
import pytest
from clients.backend import Backend, Stream
from clients.party import Clients
from clients.sdk import SdkClient, SdkError, connected, subscribed
from eventually import eventually
from staging.programs import GATEWAYS, SERVICES
from staging.suite import Suite

pytestmark = [pytest.mark.e2e, pytest.mark.broker]
DOWN_SECONDS = 10.0
"""Any answer, good or bad, comes within this time."""
STOP_SECONDS = 12.0
"""Less than after which the supervisor kills."""


async def code_of(call: Awaitable[object]) -> int:
    with pytest.raises(SdkError) as caught:
        await call
    return caught.value.code


async def pair(clients: Clients, *channels: str) -> tuple[SdkClient, SdkClient]:
    alice = await subscribed(await connected(await clients.make("python", 0, "alice")), *channels)
    bob = await subscribed(await connected(await clients.make("js", 1, "bob")), *channels)
    return alice, bob


async def test_without_auth_those_who_are_connected_go_on_and_new_ones_are_told_to_come_again(
    suite: Suite, clients: Clients, unique: str
) -> None:
    live, durable = f"live:{unique}", f"chat:{unique}"
    alice, bob = await pair(clients, live, durable)
    unanswered = {"method": "connect", "outcome": "timeout"}
    before = await suite.total(GATEWAYS, "warren_gateway_requests_total", **unanswered)
    await suite.kill9("auth")

    for channel in (live, durable):
        await alice.publish(channel, 1)
        await bob.log.until("publication", channel)
    await subscribed(bob, f"live:{unique}-new")
    async with clients.raw() as stranger:
        await stranger.send(json.dumps({"id": 1, "connect": {"token": suite.token("stranger")}}))
        code, _ = await stranger.closed(deadline=DOWN_SECONDS)
        assert 3000 <= code < 3500
    assert await suite.total(GATEWAYS, "warren_gateway_requests_total", **unanswered) > before
    newcomer = await clients.make("js", 1, "newcomer")
    await newcomer.connect()

    await suite.start("auth")

    await newcomer.log.one("connected", deadline=15)
    assert not newcomer.log.all("disconnected")
    for client in (alice, bob):
        assert len(client.log.all("connecting")) == 1


async def test_without_history_live_channels_go_on_and_durable_publications_are_taken_and_delivered_later(
    suite: Suite, clients: Clients, unique: str
) -> None:
    live, durable = f"live:{unique}", f"chat:{unique}"
    alice, bob = await pair(clients, live, durable)
    await suite.kill9("history")

    await alice.publish(live, 1)
    await bob.log.until("publication", live)
    await alice.publish(durable, 1)
    async with Backend.connected(suite.backend_url) as backend:
        await backend.publish(durable, 2)
    assert await code_of(alice.history(durable, limit=1)) == 100
    late = await connected(await clients.make("python", 1, "late"))
    await late.subscribe(f"{durable}-late")  # nobody follows it: its position has to be read
    assert (await late.log.one("error", f"{durable}-late", deadline=DOWN_SECONDS))["code"] == 100
    assert bob.log.data(durable) == []

    await suite.start("history")

    for client in (alice, bob):
        await client.log.until("publication", durable, count=2)
        assert client.log.data(durable) == [1, 2]
    await late.log.one("subscribed", f"{durable}-late")
    assert (await alice.history(durable, limit=-1)).publications == ((1, 1), (2, 2))


async def test_without_presence_its_queries_are_answered_100_and_everything_else_goes_on(
    suite: Suite, clients: Clients, unique: str
) -> None:
    live, durable = f"live:{unique}", f"chat:{unique}"
    alice, bob = await pair(clients, live, durable)
    await suite.kill9("presence")

    assert await code_of(alice.presence(durable)) == 100
    assert await code_of(bob.presence_stats(durable)) == 100
    carol = await subscribed(await connected(await clients.make("python", 1, "carol")), live, durable)
    for channel in (live, durable):
        await carol.publish(channel, 1)
        for client in (alice, bob, carol):
            await client.log.until("publication", channel)

    await suite.start("presence")


async def test_without_the_broker_sockets_stay_open_publishing_is_answered_100_and_all_heals(
    suite: Suite, clients: Clients, unique: str
) -> None:
    if not suite.broker.private:
        pytest.skip("the broker of this run is somebody else's: it is not to be killed")
    live, durable = f"live:{unique}", f"chat:{unique}"
    alice, bob = await pair(clients, live, durable)
    await bob.publish(durable, 0)
    await alice.log.until("publication", durable)
    await suite.kill9("rabbitmq")

    for client in (alice, bob):
        assert await code_of(client.publish(live, "lost")) == 100
        assert await code_of(client.publish(durable, "lost")) == 100
        assert await code_of(client.presence(durable)) == 100

    await suite.start("rabbitmq")
    await suite.wait_ready()

    for channel in (live, durable):
        await alice.publish(channel, 1)
        await bob.publish(channel, 2)
        for client in (alice, bob):
            got = await client.log.until("publication", channel, matches=lambda event: event["data"] in (1, 2), count=2)
            assert [event["data"] for event in got] == [1, 2]
    for client in (alice, bob):
        assert len(client.log.all("connecting")) == 1
        assert "lost" not in client.log.data(durable)


async def test_while_the_broker_is_out_of_memory_publishing_is_answered_100_nobody_is_cut_off_and_all_flows_afterwards(
    suite: Suite, clients: Clients, unique: str
) -> None:
    if not suite.broker.controllable:
        pytest.skip("the broker of this run is not to be blocked")
    live, durable = f"live:{unique}", f"chat:{unique}"
    alice, bob = await pair(clients, live, durable)
    connects = await suite.total(SERVICES, "warren_broker_connects_total")

    async with suite.broker.memory_alarm():
        for client in (alice, bob):
            for channel in (live, durable):
                assert await code_of(client.publish(channel, "late")) == 100
            assert await code_of(client.presence(durable)) == 100

    for channel in (live, durable):
        await alice.publish(channel, 1)
        await bob.publish(channel, 2)
        for client in (alice, bob):
            got = await client.log.until("publication", channel, matches=lambda event: event["data"] in (1, 2), count=2)
            assert [event["data"] for event in got] == [1, 2]
    for client in (alice, bob):
        assert len(client.log.all("connecting")) == 1
    assert await suite.total(SERVICES, "warren_broker_connects_total") == connects


async def test_readiness_tells_that_the_broker_is_away(suite: Suite) -> None:
    if not suite.broker.private:
        pytest.skip("the broker of this run is somebody else's: it is not to be killed")
    await suite.kill9("rabbitmq")

    async def status(name: str, path: str) -> int:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{suite.processes[name].ops_url}/{path}") as response,
        ):
            return response.status

    for name in ("auth", "presence", "history", "gateway-1"):

        async def not_ready(name: str = name) -> bool:
            return await status(name, "readyz") == 503

        await eventually(not_ready)
        assert await status(name, "livez") == 200
    await suite.start("rabbitmq")
    await suite.wait_ready()


@pytest.mark.parametrize("name", ["auth", "presence", "history", "gateway-1"])
async def test_a_service_that_has_just_lost_the_broker_still_stops_in_good_order(
    suite: Suite, clients: Clients, unique: str, name: str
) -> None:
    channel = f"stream:{unique}"
    await subscribed(await connected(await clients.make("python", 0, "alice")), channel)
    stream = Stream(suite.backend_url, channel, 1_000)
    async with asyncio.TaskGroup() as group:
        group.create_task(stream.run())
        await stream.until(100, deadline=10)
        async with suite.logging(name, "service_stopped"), asyncio.timeout(STOP_SECONDS):
            await suite.stage.run(suite.break_connections(f"warren-{name.removesuffix('-1')}"))
            await suite.stop(name)

        await suite.start(name)
