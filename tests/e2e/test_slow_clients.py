"""A client that never reads is closed, and nobody else waits for it."""

from __future__ import annotations

import asyncio
import socket
from urllib.parse import urlsplit

import pytest
from clients.backend import Backend
from clients.bystander import Bystander
from clients.deaf import deaf_client
from clients.party import Clients
from clients.raw import RawClient
from clients.sdk import connected, subscribed
from eventually import eventually
from staging.suite import Suite

pytestmark = [pytest.mark.e2e, pytest.mark.broker]
GATEWAY = "gateway-1"


async def test_a_client_that_never_reads_is_closed_with_3008_while_all_others_get_everything(
    suite: Suite, clients: Clients, bystander: Bystander, unique: str
) -> None:
    channel, count, size = f"live:{unique}", 300, 50_000
    alice = await subscribed(await connected(await clients.make("python", 0, "alice")), channel)
    bob = await subscribed(await connected(await clients.make("js", 1, "bob")), channel)
    closes, before = "warren_gateway_disconnects_total", len(suite.logs(GATEWAY, "client_disconnected"))

    async with (
        suite.counting(GATEWAY, closes, code="3008"),
        suite.logging(GATEWAY, "client_disconnected", code=3008),
        Backend.connected(suite.backend_url) as backend,
    ):
        with await deaf_client(suite.gateway_urls[0], suite.token("deaf"), channel):
            for number in range(count):
                await backend.publish(channel, {"n": number, "padding": "x" * size})
                if number == count // 2:  # so far the deaf one has delayed nobody
                    await alice.log.until("publication", channel, count=number, deadline=5)

            for client in (alice, bob):
                got = await client.log.until("publication", channel, count=count, deadline=10)
                assert [event["data"]["n"] for event in got] == list(range(count))
            await eventually(lambda: len(suite.logs(GATEWAY, "client_disconnected")) > before)

    assert bystander.client.log.all("disconnected") == []


async def test_a_client_that_reads_fast_survives_a_burst_of_large_publications(suite: Suite, unique: str) -> None:
    channel, count, data = f"live:{unique}", 200, "x" * 60_000
    async with (
        RawClient.open(suite.gateway_urls[0]) as alice,
        RawClient.open(suite.gateway_urls[0]) as bob,
        Backend.connected(suite.backend_url) as backend,
    ):
        for client in (alice, bob):
            await client.connect(suite.token("reader"))
            await client.subscribe(channel)
        await asyncio.gather(*(backend.publish(channel, data) for _ in range(count)))
        for client in (alice, bob):
            assert len(await client.publications(channel, count, deadline=30)) == count


@pytest.mark.parametrize(("count", "recovered"), [(50, True), (100, False)])
async def test_who_missed_megabytes_recovers_them_or_is_told_and_stays(
    suite: Suite, unique: str, count: int, recovered: bool
) -> None:
    """Three megabytes may be recovered by default, six may not; the connection's buffer is one."""
    channel, data = f"chat:{unique}", "x" * 60_000
    async with (
        RawClient.open(suite.gateway_urls[0]) as alice,
        RawClient.open(suite.gateway_urls[0]) as bob,
        Backend.connected(suite.backend_url) as backend,
    ):
        for client in (alice, bob):
            await client.connect(suite.token("reader"))
        epoch = (await bob.subscribe(channel))["epoch"]
        for _ in range(count):
            await backend.publish(channel, data)
        await bob.publications(channel, count)
        reply = await alice.subscribe(channel, recover=True, epoch=epoch)
        assert reply["was_recovering"]
        assert reply.get("recovered", False) is recovered
        assert len(reply.get("publications", ())) == (count if recovered else 0)
        await backend.publish(channel, "and on")
        assert await alice.publications(channel) == ["and on"]


async def test_a_client_that_stops_reading_in_the_midst_of_a_handshake_harms_nobody(
    suite: Suite, bystander: Bystander
) -> None:
    parts = urlsplit(suite.gateway_urls[0])
    with socket.create_connection((parts.hostname or "", parts.port or 0)) as silent:
        silent.sendall(b"GET /connection/websocket HTTP/1.1\r\n")

        await bystander.check(suite.backend_url)
