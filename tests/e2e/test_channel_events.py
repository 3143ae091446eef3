"""Backends are told which channels somebody is in, through the whole suite."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aio_pika
import pytest
from aio_pika.abc import AbstractIncomingMessage
from clients.party import Clients
from clients.sdk import connected, subscribed
from eventually import eventually
from staging.suite import Suite

pytestmark = [pytest.mark.e2e, pytest.mark.broker]


@asynccontextmanager
async def told_of(url: str, channel: str) -> AsyncIterator[list[str]]:
    """Listen as a backend; the list grows by the keys of what is told of a channel."""
    keys: list[str] = []

    async def take(message: AbstractIncomingMessage) -> None:
        body = json.loads(message.body)
        assert body["type"] == message.routing_key
        if body["channel"] == channel:
            keys.append(message.routing_key or "")

    async with await aio_pika.connect(url) as connection:
        amqp_channel = await connection.channel()
        queue = await amqp_channel.declare_queue(f"app.{channel}", exclusive=True)
        await queue.bind("warren.events", "channel.*")
        await queue.consume(take, no_ack=True)
        yield keys


async def test_the_first_who_comes_and_the_last_who_goes_are_told_however_many_gateways_they_are_at(
    suite: Suite, clients: Clients, unique: str
) -> None:
    channel, untold = f"halls:{unique}", f"live:{unique}"
    alice = await connected(await clients.make("js", 0, "alice"))
    bob = await connected(await clients.make("python", 1, "bob"))
    async with told_of(suite.backend_url, channel) as keys, told_of(suite.backend_url, untold) as others:
        await subscribed(alice, channel, untold)
        await eventually(lambda: keys == ["channel.occupied"], what="occupied")
        await subscribed(bob, channel)
        await alice.disconnect()
        await bob.unsubscribe(channel)
        await eventually(lambda: keys == ["channel.occupied", "channel.vacated"], what="vacated")
    assert others == []


async def test_a_channel_whose_only_gateway_was_killed_is_vacated(suite: Suite, clients: Clients, unique: str) -> None:
    channel = f"halls:{unique}"
    await subscribed(await connected(await clients.make("js", 0, "alice")), channel)
    async with told_of(suite.backend_url, channel) as keys:
        await suite.kill9("gateway-1")
        try:
            await eventually(lambda: "channel.vacated" in keys, deadline=15, what="vacated")
        finally:
            await suite.start("gateway-1")
