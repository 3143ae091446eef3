"""``centrifuge-python``, the official Python SDK."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Mapping
from typing import Any

import centrifuge  # type: ignore[import-untyped]  # the SDK carries no type marker
from centrifuge import contexts, handlers, types

from clients.events import Event, EventLog
from clients.sdk import GetToken, HistoryPage, Member, SdkError


class PythonClient:
    """Implements clients.sdk.SdkClient."""

    def __init__(self, url: str, *, token: str = "", get_token: GetToken | None = None, protobuf: bool = False) -> None:
        self.log = EventLog()
        self._payloads = _Bytes() if protobuf else _Documents()
        self._client = centrifuge.Client(
            url,
            events=_ClientEvents(self.log, self._payloads),
            token=token,
            get_token=get_token,
            timeout=8.0,
            min_reconnect_delay=0.05,
            max_reconnect_delay=1.0,
            proxy=None,
            use_protobuf=protobuf,
        )

    async def connect(self) -> None:
        """See SdkClient."""
        await self._client.connect()

    async def disconnect(self) -> None:
        """See SdkClient."""
        await self._client.disconnect()

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
        subscription = self._client.get_subscription(channel)
        if subscription is None:
            events = _SubscriptionEvents(self.log, channel, self._payloads)
            subscription = self._client.new_subscription(
                channel,
                events=events,
                min_resubscribe_delay=0.05,
                max_resubscribe_delay=1.0,
                get_state=_no_position if recover else None,
                delta=centrifuge.DeltaType.FOSSIL if delta else None,
                tags_filter=None if tags_filter is None else centrifuge.FilterNode(dict(tags_filter)),
                get_token=None if get_token is None else lambda _channel: get_token(),
            )
        await subscription.subscribe()

    async def unsubscribe(self, channel: str) -> None:
        """See SdkClient."""
        subscription = self._client.get_subscription(channel)
        if subscription is not None:
            await subscription.unsubscribe()

    async def publish(self, channel: str, data: Any) -> None:
        """See SdkClient."""
        await _told(self._client.publish(channel, self._payloads.pack(data)))

    async def presence(self, channel: str) -> Mapping[str, Member]:
        """See SdkClient."""
        result = await _told(self._client.presence(channel))
        return {client: self._member(info) for client, info in result.clients.items()}

    async def presence_stats(self, channel: str) -> tuple[int, int]:
        """See SdkClient."""
        result = await _told(self._client.presence_stats(channel))
        return result.num_clients, result.num_users

    async def history(
        self, channel: str, *, limit: int = 0, since: tuple[int, str] | None = None, reverse: bool = False
    ) -> HistoryPage:
        """See SdkClient."""
        position = types.StreamPosition(*since) if since else None
        unpack = self._payloads.unpack
        page = await _told(self._client.history(channel, limit=limit, since=position, reverse=reverse))
        return HistoryPage(
            page.epoch, page.offset, tuple((each.offset, unpack(each.data)) for each in page.publications)
        )

    async def rpc(self, method: str, data: Any) -> Any:
        """See SdkClient."""
        return self._payloads.unpack((await _told(self._client.rpc(method, self._payloads.pack(data)))).data)

    def _member(self, info: types.ClientInfo) -> Member:
        conn_info = self._payloads.unpack(info.conn_info) if info.conn_info else None
        return Member(info.client, info.user, conn_info)

    async def close(self) -> None:
        """End it for good."""
        await self._client.disconnect()
        # The SDK closes its sockets in tasks nobody waits for, some of which make another one; none of them may
        # outlive the test's loop.
        while tasks := set(self._client._background_tasks):
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.sleep(0)  # a task leaves the set in the loop's next round


async def _no_position(_channel: str) -> types.StreamPosition:
    return types.StreamPosition(offset=0, epoch="")


async def _told(call: Awaitable[Any]) -> Any:
    try:
        return await call
    except centrifuge.ReplyError as error:
        raise SdkError(error.code, error.message) from error


class _Documents:
    """Payloads as the SDK takes and gives them in JSON."""

    def pack(self, data: Any) -> Any:
        return data

    def unpack(self, data: Any) -> Any:
        return data


class _Bytes(_Documents):
    """In Protobuf, where it takes and gives bytes; the tests speak of JSON."""

    def pack(self, data: Any) -> Any:
        return json.dumps(data).encode()

    def unpack(self, data: Any) -> Any:
        assert isinstance(data, bytes)
        try:
            return json.loads(data)
        except ValueError:
            return {"bytes": list(data)}


def _publication(channel: str, publication: types.Publication, payloads: _Documents) -> Event:
    info = publication.info
    return Event(
        "publication",
        channel,
        {
            "data": payloads.unpack(publication.data),
            "offset": publication.offset or None,
            "tags": publication.tags,
            "user": info.user if info else None,
        },
    )


def _subscribed(ctx: contexts.SubscribedContext | contexts.ServerSubscribedContext) -> Event:
    position = ctx.stream_position
    return Event(
        "subscribed",
        ctx.channel,
        {
            "recoverable": ctx.recoverable,
            "recovered": ctx.recovered,
            "was_recovering": ctx.was_recovering,
            "offset": position.offset if position else None,
            "epoch": position.epoch if position else None,
        },
    )


class _SubscriptionEvents(handlers.SubscriptionEventHandler):  # type: ignore[misc]  # untyped
    def __init__(self, log: EventLog, channel: str, payloads: _Documents) -> None:
        self._log, self._channel, self._payloads = log, channel, payloads

    def _note(self, name: str, **fields: Any) -> None:
        self._log.add(Event(name, self._channel, fields))

    async def on_subscribing(self, ctx: contexts.SubscribingContext) -> None:
        self._note("subscribing", code=ctx.code)

    async def on_subscribed(self, ctx: contexts.SubscribedContext) -> None:
        self._log.add(_subscribed(ctx))

    async def on_unsubscribed(self, ctx: contexts.UnsubscribedContext) -> None:
        self._note("unsubscribed", code=ctx.code)

    async def on_publication(self, ctx: contexts.PublicationContext) -> None:
        self._log.add(_publication(self._channel, ctx.pub, self._payloads))

    async def on_join(self, ctx: contexts.JoinContext) -> None:
        self._note("join", user=ctx.info.user, client=ctx.info.client)

    async def on_leave(self, ctx: contexts.LeaveContext) -> None:
        self._note("leave", user=ctx.info.user, client=ctx.info.client)

    async def on_error(self, ctx: contexts.SubscriptionErrorContext) -> None:
        self._note("error", code=_code(ctx))


class _ClientEvents(handlers.ClientEventHandler):  # type: ignore[misc]  # untyped
    def __init__(self, log: EventLog, payloads: _Documents) -> None:
        self._log, self._payloads = log, payloads

    async def on_connecting(self, ctx: contexts.ConnectingContext) -> None:
        self._log.add(Event("connecting", None, {"code": ctx.code}))

    async def on_connected(self, ctx: contexts.ConnectedContext) -> None:
        self._log.add(Event("connected", None, {"client": ctx.client}))

    async def on_disconnected(self, ctx: contexts.DisconnectedContext) -> None:
        self._log.add(Event("disconnected", None, {"code": ctx.code}))

    async def on_error(self, ctx: contexts.ErrorContext) -> None:
        self._log.add(Event("error", None, {"code": _code(ctx)}))

    async def on_subscribed(self, ctx: contexts.ServerSubscribedContext) -> None:
        self._log.add(_subscribed(ctx))

    async def on_unsubscribed(self, ctx: contexts.ServerUnsubscribedContext) -> None:
        self._log.add(Event("unsubscribed", ctx.channel, {}))

    async def on_publication(self, ctx: contexts.ServerPublicationContext) -> None:
        self._log.add(_publication(ctx.channel, ctx.pub, self._payloads))

    async def on_join(self, ctx: contexts.ServerJoinContext) -> None:
        self._log.add(Event("join", ctx.channel, {"user": ctx.info.user, "client": ctx.info.client}))

    async def on_leave(self, ctx: contexts.ServerLeaveContext) -> None:
        self._log.add(Event("leave", ctx.channel, {"user": ctx.info.user, "client": ctx.info.client}))


def _code(ctx: contexts.ErrorContext | contexts.SubscriptionErrorContext) -> int:
    """Return the protocol's code where the server sent one, else the SDK's own."""
    return int(ctx.error.code if isinstance(ctx.error, centrifuge.ReplyError) else ctx.code)
