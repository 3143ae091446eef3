"""What clients read off the socket, beyond what their SDKs show."""

from __future__ import annotations

import json

import pytest
from clients.backend import Backend
from clients.party import Clients
from staging.suite import Suite

pytestmark = [pytest.mark.e2e, pytest.mark.broker]


async def test_every_frame_holds_one_message_however_many_are_sent_at_once(
    suite: Suite, clients: Clients, unique: str
) -> None:
    """JS SDKs before 5.8 mix up the messages of frames that arrive together, if a frame holds several."""
    channels = [f"live:{unique}", f"chat:{unique}"]
    commands = [{"id": 1, "connect": {"token": suite.token("alice")}}]
    commands += [{"id": 2 + place, "subscribe": {"channel": channel}} for place, channel in enumerate(channels)]
    commands += [{"id": number, "rpc": {"method": "m"}} for number in range(10, 20)]
    async with clients.raw() as alice, Backend.connected(suite.backend_url) as backend:
        await alice.send("\n".join(map(json.dumps, commands)))
        for number in (1, 2, 3, *range(10, 20)):
            await alice.reply(number)
        for channel in channels:
            await backend.publish_all(channel, [(f"{channel}-{n}", n) for n in range(300)])
        for channel in channels:
            assert await alice.publications(channel, 300) == list(range(300))

    assert [frame for frame in alice.frames if "\n" in frame] == []


async def test_what_is_empty_is_left_out_except_where_the_sdks_rely_on_it(
    suite: Suite, clients: Clients, unique: str
) -> None:
    chat, live = f"chat:{unique}", f"live:{unique}"
    async with clients.raw() as alice:
        result = await alice.connect(suite.token("alice"))
        assert {"client", "version", "ping", "pong", "node", "session", "expires", "ttl"} >= result.keys()
        assert result["version"].startswith("Warren ")
        assert await alice.subscribe(live) == {}
        on_chat = await alice.subscribe(chat)
        assert on_chat.keys() <= {"recoverable", "positioned", "epoch", "offset"}
        assert (on_chat["recoverable"], on_chat["positioned"], bool(on_chat["epoch"])) == (True, True, True)

        history = (await alice.call(history={"channel": chat}))["history"]
        assert history == {"publications": [], "epoch": on_chat["epoch"], "offset": 0}
        assert (await alice.call(publish={"channel": chat, "data": {"a": None}}))["publish"] == {}
        assert (await alice.call(unsubscribe={"channel": "live:never-subscribed"}))["unsubscribe"] == {}
        await alice.publications(chat)
        (push,) = await alice.several(lambda message: "pub" in message.get("push", {}), 1)

    publication = push["push"]["pub"]
    assert publication.keys() <= {"data", "info", "offset", "time"}
    assert (publication["data"], publication["offset"]) == ({"a": None}, 1)
    assert publication["info"].keys() == {"user", "client"}


async def test_a_recovering_subscribe_returns_the_missed_in_order_under_the_clients_own_offset(
    suite: Suite, clients: Clients, unique: str
) -> None:
    channel = f"chat:{unique}"
    async with clients.raw() as alice, Backend.connected(suite.backend_url) as backend:
        await alice.connect(suite.token("alice"))
        epoch = (await alice.subscribe(channel))["epoch"]
        await backend.publish_all(channel, [(f"{unique}-{n}", n) for n in range(1, 11)])
        await alice.publications(channel, 10)
        await alice.call(unsubscribe={"channel": channel})

        recovered = await alice.subscribe(channel, recover=True, epoch=epoch, offset=4)
        assert (recovered["was_recovering"], recovered["recovered"], recovered["offset"]) == (True, True, 4)
        assert [each["offset"] for each in recovered["publications"]] == [5, 6, 7, 8, 9, 10]
        await alice.call(unsubscribe={"channel": channel})

        foreign = await alice.subscribe(channel, recover=True, epoch="another", offset=4)
        assert (foreign["was_recovering"], foreign.get("recovered", False), foreign["offset"]) == (True, False, 10)
        assert "publications" not in foreign
        await alice.call(unsubscribe={"channel": channel})

        assert await alice.error(subscribe={"channel": channel, "recover": True, "epoch": "another", "flag": 3}) == 112
