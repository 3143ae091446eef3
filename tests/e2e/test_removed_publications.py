"""What is left of a durable channel when an operator has removed what is stored of it."""

from __future__ import annotations

import pytest
from clients.backend import Backend
from clients.party import Clients
from clients.sdk import connected, subscribed
from eventually import eventually
from staging.suite import Suite

pytestmark = [pytest.mark.e2e, pytest.mark.broker]


async def test_nothing_can_be_read_or_recovered_any_more_while_who_is_subscribed_goes_on(
    suite: Suite, clients: Clients, unique: str
) -> None:
    channel = f"chat:{unique}"
    everybody = [
        await subscribed(await connected(await clients.make(sdk, gateway, f"{sdk}-{gateway}")), channel)
        for sdk, gateway in (("python", 0), ("js", 1))
    ]
    async with clients.raw() as behind, Backend.connected(suite.backend_url) as backend:
        await behind.connect(suite.token("behind"))
        epoch = (await behind.subscribe(channel))["epoch"]
        for number in range(1, 6):
            await backend.publish(channel, number)
        await behind.publications(channel, 5)
        await behind.call(unsubscribe={"channel": channel})

        code, said = await suite.command("history", "remove", channel)
        assert (code, said) == (0, f"warren-history: removed 5 publications of {channel}\n")
        page = await everybody[0].history(channel, limit=-1)
        assert (page.epoch, page.offset, page.publications) == (epoch, 5, ())
        at_the_top = await behind.subscribe(channel, recover=True, epoch=epoch, offset=5)
        await behind.call(unsubscribe={"channel": channel})
        before_it = await behind.subscribe(channel, recover=True, epoch=epoch, offset=3)

        await backend.publish(channel, 6)
        for client in everybody:
            await client.log.until("publication", channel, count=6)
        page = await everybody[1].history(channel, limit=-1, since=(3, epoch))

    assert (at_the_top["recovered"], at_the_top["offset"]) == (True, 5)
    assert (before_it.get("recovered", False), before_it["was_recovering"], before_it["offset"]) == (False, True, 5)
    assert page.publications == ((6, 6),)
    for client in everybody:
        assert client.log.data(channel) == [1, 2, 3, 4, 5, 6]
        assert len(client.log.all("subscribed", channel)) == 1


async def test_the_latest_publication_is_given_to_nobody_any_more(suite: Suite, clients: Clients, unique: str) -> None:
    channel = f"last:{unique}"
    async with clients.raw() as alice, Backend.connected(suite.backend_url) as backend:
        await alice.connect(suite.token("alice"))
        await alice.subscribe(channel)
        await backend.publish(channel, 1)
        await alice.publications(channel)
        assert (await suite.command("history", "remove", channel))[0] == 0

        async def given_to_nobody() -> bool:
            await alice.call(unsubscribe={"channel": channel})
            reply = await alice.subscribe(channel, recover=True)
            return not reply.get("recovered", False)

        await eventually(given_to_nobody, what="the gateway has asked history anew")


async def test_a_channel_that_cannot_be_is_refused_in_one_line(suite: Suite) -> None:
    code, said = await suite.command("history", "remove", "chat:*")
    assert (code, said.count("\n")) == (1, 1)
    assert said.startswith("warren-history: chat:*: ")
