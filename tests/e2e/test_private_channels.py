"""Private channels: the name begins with ``$``, before the namespace or behind it."""

from __future__ import annotations

import pytest
from clients.backend import Backend
from clients.party import Clients
from clients.sdk import connected
from staging.suite import Suite

pytestmark = [pytest.mark.e2e, pytest.mark.broker]


@pytest.mark.parametrize("namespace", ["chat", "live", "inbox"])
async def test_a_private_channel_is_open_to_who_is_named_and_carries_publications_of_its_own(
    suite: Suite, clients: Clients, unique: str, namespace: str
) -> None:
    before, behind = f"${namespace}:{unique}", f"{namespace}:${unique}"
    alice = await connected(await clients.make("python", 0, "alice", channels=[before, behind]))
    for channel in (before, behind):
        await alice.log.until("subscribed", channel)

    async with Backend.connected(suite.backend_url) as backend, clients.raw() as stranger:
        await stranger.connect(suite.token("mallory"))
        for channel in (before, behind):
            assert await stranger.error(subscribe={"channel": channel}) == 103
            await backend.publish(channel, {"on": channel})

    for channel in (before, behind):
        await alice.log.until("publication", channel)
        assert alice.log.data(channel) == [{"on": channel}]


async def test_a_private_channel_of_an_unknown_namespace_is_unknown(suite: Suite, clients: Clients) -> None:
    async with clients.raw() as client:
        await client.connect(suite.token("alice"))

        assert await client.error(subscribe={"channel": "$nowhere:a"}) == 102
