"""The bare follower comes back and recovers from where it was, as an SDK does, and its diary says so."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from clients.events import Event
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from chaos.evidence import Away, Ended, Received, Subscribed
from chaos.followers import RawFollower, diary

CHANNEL = "room:a"
Script = Callable[["Gateway"], Awaitable[None]]


class Gateway:
    """One connection of a gateway that answers by hand."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket

    async def command(self, name: str) -> dict[str, Any]:
        """Wait for a command and return it with its id."""
        while True:
            message: dict[str, Any] = json.loads(await self.socket.recv())
            if name in message:
                return {"id": message["id"], **message[name]}

    async def say(self, *messages: dict[str, Any]) -> None:
        """Send messages in one frame."""
        await self.socket.send("\n".join(map(json.dumps, messages)))

    async def subscribed(self, **result: Any) -> dict[str, Any]:
        """Answer the next subscribe, and return it."""
        command = await self.command("subscribe")
        await self.say({"id": command["id"], "subscribe": {"recoverable": True, "epoch": "e", **result}})
        return command


def push(offset: int) -> dict[str, Any]:
    return {"push": {"channel": CHANNEL, "pub": publication(offset)}}


def publication(offset: int) -> dict[str, Any]:
    return {"data": {"id": f"m{offset}", "text": "x"}, "offset": offset}


@asynccontextmanager
async def following(*scripts: Script) -> AsyncIterator[RawFollower]:
    """Run a follower of a gateway that does what a script says, one for each connection."""
    waiting = iter(scripts)

    async def talk(socket: ServerConnection) -> None:
        gateway = Gateway(socket)
        script = next(waiting, None)
        with suppress(ConnectionClosed):
            connect = await gateway.command("connect")
            await gateway.say({"id": connect["id"], "connect": {"client": "c"}})
            if script is not None:
                await script(gateway)

    async with serve(talk, "127.0.0.1", 0) as server, asyncio.TaskGroup() as group:
        port = next(iter(server.sockets)).getsockname()[1]
        follower = RawFollower(f"ws://127.0.0.1:{port}", "token", [CHANNEL])
        task = group.create_task(follower.run())
        yield follower
        task.cancel()


async def test_it_recovers_from_its_position_after_its_socket_was_cut() -> None:
    asked: list[dict[str, Any]] = []

    async def first(gateway: Gateway) -> None:
        asked.append(await gateway.subscribed(offset=3))
        await gateway.say(push(4), push(5))

    async def second(gateway: Gateway) -> None:
        missed = [publication(6), publication(7)]
        asked.append(await gateway.subscribed(offset=5, was_recovering=True, recovered=True, publications=missed))
        await gateway.say(push(8))
        await gateway.socket.wait_closed()

    async with following(first, second) as follower:
        await follower.log.until("publication", count=5)

    assert [(each.get("recover"), each.get("epoch"), each.get("offset")) for each in asked] == [
        (None, None, None),
        (True, "e", 5),
    ]
    entries = diary("f", CHANNEL, follower.log).entries
    assert [type(each) for each in entries[:5]] == [Subscribed, Received, Received, Away, Subscribed]
    assert [each.offset for each in entries if isinstance(each, Received)] == [4, 5, 6, 7, 8]
    assert isinstance(entries[4], Subscribed)
    assert entries[4].recovered


async def test_it_goes_on_from_the_new_position_where_it_was_told_that_it_is_not_recovered() -> None:
    asked: list[dict[str, Any]] = []

    async def script(gateway: Gateway) -> None:
        await gateway.subscribed(offset=3)
        await gateway.say({"push": {"channel": CHANNEL, "unsubscribe": {"code": 2500}}})
        asked.append(await gateway.subscribed(offset=90, epoch="f", was_recovering=True))
        await gateway.say({"push": {"channel": CHANNEL, "unsubscribe": {"code": 2500}}})
        asked.append(await gateway.subscribed(offset=90, epoch="f", was_recovering=True, recovered=True))
        await gateway.socket.wait_closed()

    async with following(script) as follower:
        await follower.log.until("subscribed", count=3)

    assert [(each["epoch"], each["offset"]) for each in asked] == [("e", 3), ("f", 90)]


async def test_it_asks_again_after_an_error_and_stays_away_when_it_is_sent_away() -> None:
    async def script(gateway: Gateway) -> None:
        command = await gateway.command("subscribe")
        await gateway.say({"id": command["id"], "error": {"code": 100}})
        await gateway.subscribed(offset=3)
        await gateway.say({}, {"push": {"channel": CHANNEL, "unsubscribe": {"code": 2000}}})
        await gateway.socket.wait_closed()

    async with following(script) as follower:
        ended: Event = await follower.log.one("unsubscribed")

    assert ended["code"] == 2000
    entries = diary("f", CHANNEL, follower.log).entries
    assert [type(each) for each in entries] == [Subscribed, Ended]
