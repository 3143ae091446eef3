"""``centrifuge``, the official JS SDK, under Node: clients in one process that is told what to do."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clients.events import Event, EventLog
from clients.sdk import GetToken, HistoryPage, Member, SdkError

_DRIVER = Path(__file__).parent.parent / "e2e" / "js" / "driver.js"
_CALL_SECONDS = 20.0
_LONGEST_LINE = 16 * 1024 * 1024


class Node:
    """A Node process that runs clients of the SDK."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._clients: dict[str, JsClient] = {}
        self._token_tasks: set[asyncio.Task[None]] = set()
        self._listening = asyncio.create_task(self._listen(), name="Node's output")

    @classmethod
    async def start(cls, node_modules: Path) -> Node:
        """Start the driver; ``close`` ends it."""
        process = await asyncio.create_subprocess_exec(
            "node",
            str(_DRIVER),
            env={**os.environ, "WARREN_NODE_MODULES": str(node_modules)},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_LONGEST_LINE,
        )
        return cls(process)

    async def close(self) -> None:
        """End the driver and with it its clients. Raises what went wrong in listening to it."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        await self._process.wait()
        await self._listening
        await asyncio.gather(*self._token_tasks)

    async def open(
        self,
        url: str,
        *,
        token: str = "",
        get_token: GetToken | None = None,
        encoding: str = "json",
        transport: str = "websocket",
        emulation: str = "",
    ) -> JsClient:
        """Make a client, not yet connected. ``encoding`` is "json" or "protobuf"; ``emulation`` is where a
        client that has HTTP alone sends its commands.
        """
        client = JsClient(self, f"js-{next(self._ids)}", get_token)
        self._clients[client.name] = client
        asks = get_token is not None
        where = {"transport": transport, "url": url, "emulation": emulation, "encoding": encoding}
        await self.call(client.name, "open", token=token, asks=asks, **where)
        return client

    async def call(self, client: str, do: str, **arguments: Any) -> Any:
        """Have the driver do something and return its result. Raises SdkError."""
        call = next(self._ids)
        future = self._waiting[call] = asyncio.get_running_loop().create_future()
        stdin = self._process.stdin
        if stdin is None:
            raise AssertionError("the driver has no standard input")
        stdin.write(json.dumps({"id": call, "do": do, "client": client, **arguments}).encode() + b"\n")
        async with asyncio.timeout(_CALL_SECONDS):
            return await future

    async def _listen(self) -> None:
        stdout = self._process.stdout
        while stdout is not None and (line := await stdout.readline()):
            message = json.loads(line)
            if "reply" in message:
                self._answer(self._waiting.pop(message["reply"]), message)
                continue
            client = self._clients[message["client"]]
            if message["event"] == "token_wanted":
                self._token_tasks.add(asyncio.create_task(client.bring_token(message["channel"])))
            client.log.add(Event(message["event"], message["channel"], message["fields"]))

    @staticmethod
    def _answer(future: asyncio.Future[Any], message: Mapping[str, Any]) -> None:
        if future.done():
            return
        if error := message.get("error"):
            future.set_exception(SdkError(error["code"], error["message"]))
        else:
            future.set_result(message["result"])


class JsClient:
    """Implements clients.sdk.SdkClient."""

    def __init__(self, node: Node, name: str, get_token: GetToken | None) -> None:
        self.log = EventLog()
        self.name = name
        self._node = node
        self._get_token: dict[str | None, GetToken] = {} if get_token is None else {None: get_token}

    async def bring_token(self, channel: str | None) -> None:
        """Answer the SDK's question for a token of the connection, or for one of a channel."""
        await self._node.call(self.name, "token", channel=channel, token=await self._get_token[channel]())

    async def connect(self) -> None:
        """See SdkClient."""
        await self._node.call(self.name, "connect")

    async def disconnect(self) -> None:
        """See SdkClient."""
        await self._node.call(self.name, "disconnect")

    async def subscribe(
        self,
        channel: str,
        *,
        recover: bool = False,
        get_token: GetToken | None = None,
        delta: bool = False,
        tags_filter: Mapping[str, Any] | None = None,
    ) -> None:
        """See SdkClient."""
        if get_token is not None:
            self._get_token[channel] = get_token
        asks = channel in self._get_token
        wants = {"recover": recover, "asks": asks, "delta": delta, "filter": tags_filter}
        await self._node.call(self.name, "subscribe", channel=channel, **wants)

    async def unsubscribe(self, channel: str) -> None:
        """See SdkClient."""
        await self._node.call(self.name, "unsubscribe", channel=channel)

    async def publish(self, channel: str, data: Any) -> None:
        """See SdkClient."""
        await self._node.call(self.name, "publish", channel=channel, data=data)

    async def presence(self, channel: str) -> Mapping[str, Member]:
        """See SdkClient."""
        members = await self._node.call(self.name, "presence", channel=channel)
        return {member["client"]: Member(**member) for member in members}

    async def presence_stats(self, channel: str) -> tuple[int, int]:
        """See SdkClient."""
        clients, users = await self._node.call(self.name, "presence_stats", channel=channel)
        return clients, users

    async def history(
        self, channel: str, *, limit: int = 0, since: tuple[int, str] | None = None, reverse: bool = False
    ) -> HistoryPage:
        """See SdkClient."""
        page = await self._node.call(self.name, "history", channel=channel, limit=limit, since=since, reverse=reverse)
        return HistoryPage(page["epoch"], page["offset"], tuple((each[0], each[1]) for each in page["publications"]))

    async def send(self, data: Any) -> None:
        """Send a message that nothing answers; the Python SDK has no call for it."""
        await self._node.call(self.name, "send", data=data)

    async def rpc(self, method: str, data: Any) -> Any:
        """See SdkClient."""
        return await self._node.call(self.name, "rpc", method=method, data=data)
