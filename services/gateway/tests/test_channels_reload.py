"""Channels whose namespace changes while somebody waits for them."""

from __future__ import annotations

import asyncio

import pytest

from warren_gateway.bus_options import BusSideOptions
from warren_gateway.ports import Subscribe, Subscribed
from warren_shared.contracts.codes import ErrorCode, Errors, Unsubscribes

from .bus_fakes import Client, namespaces
from .bus_world import settle, world

DURABLE = "namespaces: [{name: live, history_size: 10, history_ttl: 1h}]"
REMOVED = "namespaces: [{name: other}]"


@pytest.mark.parametrize(("change", "error"), [(DURABLE, Errors.INTERNAL), (REMOVED, Errors.UNKNOWN_CHANNEL)])
async def test_nobody_is_let_into_a_channel_that_is_of_another_kind_by_then(change: str, error: ErrorCode) -> None:
    async with world(BusSideOptions(admit_slice=1)) as w:
        w.inbox.gate = asyncio.Event()
        clients = [Client(f"c{number}") for number in range(3)]
        loop = asyncio.get_running_loop()

        def change_after(reply: Subscribed | ErrorCode) -> None:
            clients[0].done(reply)
            loop.call_soon(w.channels.use, namespaces(change))

        w.channels.subscribe(Subscribe("live:a"), clients[0], change_after)
        for client in clients[1:]:
            await w.subscribe(client, "live:a")
        w.inbox.gate.set()
        await settle()
        assert clients[0].replies == [Subscribed()]
        assert clients[0].ended == [("live:a", Unsubscribes.INSUFFICIENT_STATE)]
        assert [client.replies for client in clients[1:]] == [[error], [error]]


async def test_history_is_not_asked_any_more_for_a_channel_that_is_live_now() -> None:
    async with world(BusSideOptions(heal_longest_pause=0.0)) as w:
        await w.subscribe(Client("c"), "chat:a")
        await w.disconnect()
        w.history.down = True
        await w.connect()
        w.channels.use(namespaces("namespaces: [{name: chat}]"))
        await settle()
        asked = len(w.history.reads)
        for _ in range(10):
            await settle()
        assert len(w.history.reads) == asked
