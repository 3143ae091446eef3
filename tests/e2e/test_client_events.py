"""Backends are told of clients, and by clients, through the whole suite."""

from __future__ import annotations

import time

import pytest
from clients.js_sdk import JsClient
from clients.listening import Listening
from clients.party import Clients
from clients.sdk import connected, subscribed
from eventually import eventually
from staging.suite import Suite

pytestmark = [pytest.mark.e2e, pytest.mark.broker]
both_sdks = pytest.mark.parametrize("sdk", ["python", "js"])
TELLING = 1
"""The gateway that is set to."""


async def test_what_a_client_sends_reaches_backends_in_order(suite: Suite, clients: Clients, unique: str) -> None:
    async with Listening.to(suite.backend_url, unique, key="client.message") as backend:
        alice = await connected(await clients.make("js", TELLING, unique))
        assert isinstance(alice, JsClient)
        for number in range(100):
            await alice.send({"number": number, "text": "grüße"})
        heard = await backend.until(100)

    assert heard == [("client.message", {"number": number, "text": "grüße"}) for number in range(100)]


@both_sdks
async def test_a_clients_life_is_told_in_order(suite: Suite, clients: Clients, unique: str, sdk: str) -> None:
    left, kept, untold = f"tools:{unique}.left", f"tools:{unique}.kept", f"live:{unique}"
    began = time.time()
    async with Listening.to(suite.backend_url, unique) as backend:
        alice = await subscribed(await connected(await clients.make(sdk, TELLING, unique)), left, kept, untold)
        client = (await alice.log.one("connected"))["client"]
        await alice.unsubscribe(left)
        await alice.disconnect()
        heard = await backend.until(6)

    assert [(key, body.get("channel"), body.get("code")) for key, body in heard] == [
        ("client.connected", None, None),
        ("client.subscribed", left, None),
        ("client.subscribed", kept, None),
        ("client.unsubscribed", left, None),
        ("client.unsubscribed", kept, 1),
        ("client.disconnected", None, 3000),
    ]
    for key, body in heard:
        assert (body["type"], body["gateway"], body["client"]) == (key, "gateway-2", client)
        assert began - 1 < body["at"] / 1000 < time.time() + 1
    assert 0 < heard[-1][1]["seconds"] < time.time() - began + 1


async def test_what_came_with_a_connect_and_a_subscribe_is_told(suite: Suite, clients: Clients, unique: str) -> None:
    async with Listening.to(suite.backend_url, unique) as backend, clients.raw(TELLING) as raw:
        await raw.call(connect={"token": suite.token(unique), "data": {"app": "7.1"}})
        assert "subscribe" in await raw.call(subscribe={"channel": f"tools:{unique}", "data": ["zoom", 3]})
        heard = await backend.until(2)

    assert [(key, body["data"]) for key, body in heard[:2]] == [
        ("client.connected", '{"app": "7.1"}'),
        ("client.subscribed", '["zoom", 3]'),
    ]


async def test_a_gateway_that_is_not_set_to_tells_of_subscriptions_alone(
    suite: Suite, clients: Clients, unique: str
) -> None:
    channel = f"tools:{unique}"
    async with Listening.to(suite.backend_url, unique) as backend:
        alice = await subscribed(await connected(await clients.make("js", 0, unique)), channel)
        await alice.disconnect()
        heard = await backend.until(2)

    assert [key for key, _ in heard] == ["client.subscribed", "client.unsubscribed"]


async def test_a_gateway_that_stops_tells_of_the_end_of_all_it_had(suite: Suite, clients: Clients, unique: str) -> None:
    async with Listening.to(suite.backend_url, unique) as backend:
        for _ in range(20):
            await connected(await clients.make("python", TELLING, unique))
        await backend.until(20)
        await suite.stop("gateway-2")
        heard = await backend.until(40)
        await suite.start("gateway-2")

    ended = [body for key, body in heard if key == "client.disconnected"]
    assert [body["code"] for body in ended] == [3001] * 20


async def test_events_that_happened_without_a_broker_are_told_when_it_is_back(
    suite: Suite, clients: Clients, unique: str
) -> None:
    alice = await connected(await clients.make("python", TELLING, unique))
    async with Listening.to(suite.backend_url, unique, key="client.disconnected") as backend:
        lost = len(suite.logs("gateway-2", "broker_connection_lost"))
        await suite.stage.run(suite.break_connections("warren-gateway"))
        await eventually(lambda: len(suite.logs("gateway-2", "broker_connection_lost")) >= lost + 2)
        await alice.disconnect()
        await backend.until(1)
    await suite.wait_ready("gateway-1", "gateway-2")
