"""The API's methods: each takes a request and returns its result, or raises RejectionError."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from msgspec import Raw, Struct

from warren_api.domain import requests as asked
from warren_api.domain.channels import channel_with_history, channel_with_presence
from warren_api.domain.nodes import info_result
from warren_api.domain.orders import AboutUser, order_of
from warren_api.domain.publications import publication_of
from warren_api.domain.rejection import RejectionError
from warren_api.domain.requests import read_request
from warren_api.domain.results import (
    Result,
    history_result,
    presence_result,
    presence_stats_result,
    read_request_of,
)
from warren_api.metrics import FAILED, OK, REJECTED, Counts
from warren_api.ports import Services
from warren_shared.contracts.codes import Errors
from warren_shared.contracts.namespaces import Namespaces

AT_ONCE: Final = 64
"""Publications of a broadcast, and commands of a parallel batch, that are under way together."""
Given = TypeVar("Given")
Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class Method:
    """One method."""

    request: type[Struct]
    carry_out: Callable[[Any], Awaitable[Result]]


class Methods:
    """All methods, by the names they have in a URL."""

    def __init__(
        self, services: Services, namespaces: Callable[[], Namespaces], now: Callable[[], float], counts: Counts
    ) -> None:
        """``now`` is Unix time."""
        self._services, self._namespaces, self._now, self._counts = services, namespaces, now, counts
        self.by_name: dict[str, Method] = {
            "publish": Method(asked.PublishRequest, self._publish),
            "broadcast": Method(asked.BroadcastRequest, self._broadcast),
            "subscribe": Method(asked.SubscribeRequest, self._order),
            "unsubscribe": Method(asked.UnsubscribeRequest, self._order),
            "disconnect": Method(asked.DisconnectRequest, self._order),
            "refresh": Method(asked.RefreshRequest, self._order),
            "presence": Method(asked.PresenceRequest, self._presence),
            "presence_stats": Method(asked.PresenceStatsRequest, self._presence_stats),
            "history": Method(asked.HistoryRequest, self._history),
            "history_remove": Method(asked.HistoryRemoveRequest, self._history_remove),
            "info": Method(asked.InfoRequest, self._info),
            "channels": Method(asked.ChannelsRequest, self._channels),
        }

    async def reply(self, name: str, body: bytes | Raw) -> Result:
        """Carry one method out and return its reply: the result, or the error it failed with. Never raises."""
        method = self.by_name.get(name)
        if method is None:
            return error_of(RejectionError(Errors.METHOD_NOT_FOUND))
        try:
            result = await method.carry_out(read_request(body, method.request))
        except RejectionError as rejection:
            self._counts.requests[name, FAILED if rejection.error.temporary else REJECTED] += 1
            return error_of(rejection)
        self._counts.requests[name, OK] += 1
        return {"result": result}

    async def batch(self, body: bytes) -> Result:
        """Carry out several methods, one after the other unless ``parallel``; the replies are in their order.

        Raises RejectionError for a batch that cannot be read; then none of it was carried out.
        """
        batch = read_request(body, asked.BatchRequest)
        if any(len(command) != 1 for command in batch.commands):
            raise RejectionError(Errors.BAD_REQUEST, "commands: each has one member, a method's name")
        commands = [next(iter(command.items())) for command in batch.commands]
        if batch.parallel:
            return {"replies": await together(commands, self._named_reply)}
        return {"replies": [await self._named_reply(command) for command in commands]}

    async def _named_reply(self, command: tuple[str, Raw]) -> Result:
        name, body = command
        reply = await self.reply(name, body)
        return {name: reply["result"]} if "result" in reply else reply

    async def _publish(self, request: asked.PublishRequest) -> Result:
        await self._services.publish(publication_of(request, self._namespaces()))
        return {}

    async def _broadcast(self, request: asked.BroadcastRequest) -> Result:
        return {"responses": await together(request.publish_requests(), self._response)}

    async def _response(self, request: asked.PublishRequest) -> Result:
        try:
            return {"result": await self._publish(request)}
        except RejectionError as rejection:
            return error_of(rejection)

    async def _order(self, request: AboutUser) -> Result:
        await self._services.order(order_of(request, self._namespaces()))
        return {}

    async def _presence(self, request: asked.PresenceRequest) -> Result:
        channel_with_presence(request.channel, self._namespaces())
        return presence_result(await self._services.presence(request.channel))

    async def _presence_stats(self, request: asked.PresenceStatsRequest) -> Result:
        channel_with_presence(request.channel, self._namespaces())
        return presence_stats_result(await self._services.presence_stats(request.channel))

    async def _history(self, request: asked.HistoryRequest) -> Result:
        channel_with_history(request.channel, self._namespaces())
        return history_result(await self._services.history(read_request_of(request)), request.since)

    async def _history_remove(self, request: asked.HistoryRemoveRequest) -> Result:
        channel_with_history(request.channel, self._namespaces())
        await self._services.remove_history(request.channel)
        return {}

    async def _info(self, _: asked.InfoRequest) -> Result:
        return info_result(iter(await self._services.gateways()), self._now())

    async def _channels(self, _: asked.ChannelsRequest) -> Result:
        raise RejectionError(Errors.NOT_AVAILABLE, "Warren keeps no list of channels")


def error_of(rejection: RejectionError) -> Result:
    """Return the reply of a method that failed."""
    return {"error": {"code": rejection.code, "message": str(rejection)}}


async def together(things: Sequence[Given], make: Callable[[Given], Awaitable[Made]]) -> list[Made]:
    """Return what is made of each thing, in their order, with at most AT_ONCE under way, begun in that order."""
    limit = asyncio.Semaphore(AT_ONCE)

    async def bounded(thing: Given) -> Made:
        async with limit:
            return await make(thing)

    async with asyncio.TaskGroup() as tasks:
        made = [tasks.create_task(bounded(thing)) for thing in things]
    return [task.result() for task in made]
