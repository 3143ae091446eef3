"""The gateway's port, spoken to by the official Python SDK."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import centrifuge  # type: ignore[import-untyped]  # the SDK carries no type marker
import pytest

from warren_gateway.domain.events import CloseRequested
from warren_gateway.ports import Subscribed
from warren_shared.contracts.auth import Admitted, Refused
from warren_shared.contracts.codes import Disconnects, Unsubscribes
from warren_shared.contracts.history import Page, StoredPublication
from warren_shared.contracts.publication import Position

from .socket_client import until
from .socket_fakes import EVERYTHING, RunningGateway, running_gateway


class Log:
    """What happened to a client or a subscription, by name; any handler of the SDK appends."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Any]] = []

    def __getattr__(self, name: str) -> Callable[[Any], Any]:
        async def record(context: Any) -> None:
            self.events.append((name.removeprefix("on_"), context))

        return record

    def of(self, name: str) -> list[Any]:
        return [context for happened, context in self.events if happened == name]

    async def wait_for(self, name: str, count: int = 1) -> list[Any]:
        await until(lambda: len(self.of(name)) >= count)
        return self.of(name)


@pytest.fixture
async def gateway() -> AsyncIterator[RunningGateway]:
    async with running_gateway() as gateway:
        yield gateway


@asynccontextmanager
async def sdk_client(gateway: RunningGateway, **options: Any) -> AsyncIterator[tuple[Any, Log]]:
    log = Log()
    client = centrifuge.Client(gateway.url, events=log, proxy=None, min_reconnect_delay=0.05, **options)
    await client.connect()
    try:
        yield client, log
    finally:
        await client.disconnect()
        await asyncio.gather(*client._background_tasks, return_exceptions=True)


async def subscription(client: Any, channel: str, **options: Any) -> tuple[Any, Log]:
    log = Log()
    sub = client.new_subscription(channel, events=log, min_resubscribe_delay=0.05, **options)
    await sub.subscribe()
    return sub, log


async def test_client_learns_who_and_where_it_is(gateway: RunningGateway) -> None:
    async with sdk_client(gateway, token="t", name="py", version="7") as (_, log):
        (context,) = await log.wait_for("connected")
        assert context.version == "Warren 0"
        (request,) = gateway.services.connects
        assert (request.client, request.token, request.name, request.version) == (context.client, "t", "py", "7")


async def test_publication_reaches_the_subscriber_whole(gateway: RunningGateway) -> None:
    async with sdk_client(gateway) as (client, _):
        sub, log = await subscription(client, "live:a")
        await log.wait_for("subscribed")
        await sub.publish({"text": "grüße\n", "n": [1, 2.5, None]})
        (context,) = await log.wait_for("publication")
        assert context.pub.data == {"text": "grüße\n", "n": [1, 2.5, None]}


async def test_queries_are_answered(gateway: RunningGateway) -> None:
    stored = StoredPublication(offset=3, data='{"a":1}', tags={"k": "v"})
    gateway.services.page = Page(epoch="e", top=3, publications=(stored,))
    async with sdk_client(gateway) as (client, log):
        sub, sub_log = await subscription(client, "chat:a")
        await sub_log.wait_for("subscribed")
        (connected,) = log.of("connected")
        presence = await sub.presence()
        assert presence.clients[connected.client].conn_info == {"a": 1}
        stats = await sub.presence_stats()
        assert (stats.num_clients, stats.num_users) == (1, 1)
        history = await sub.history(limit=10)
        assert (history.epoch, history.offset) == ("e", 3)
        assert [(pub.offset, pub.data, pub.tags) for pub in history.publications] == [(3, {"a": 1}, {"k": "v"})]


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda client: client.rpc("method", {}), 108),
        (lambda client: client.presence("live:a"), 108),
        (lambda client: client.history("nope:a"), 102),
        (lambda client: client.publish("objects:a", [1]), 107),
    ],
)
async def test_error_reply_is_raised(gateway: RunningGateway, call: Callable[[Any], Any], code: int) -> None:
    async with sdk_client(gateway) as (client, _):
        with pytest.raises(centrifuge.ReplyError) as error:
            await call(client)
        assert error.value.code == code


async def test_refused_subscription_ends(gateway: RunningGateway) -> None:
    gateway.services.admitted = Admitted(user="alice")
    async with sdk_client(gateway) as (client, _):
        _, log = await subscription(client, "live:a")
        (context,) = await log.wait_for("unsubscribed")
        assert context.code == 103


async def test_unsubscribe_and_subscribe_again(gateway: RunningGateway) -> None:
    async with sdk_client(gateway) as (client, _):
        sub, log = await subscription(client, "live:a")
        await log.wait_for("subscribed")
        await sub.unsubscribe()
        await until(lambda: not gateway.channels.num_subscribers("live:a"))
        await sub.subscribe()
        await log.wait_for("subscribed", 2)


async def test_reconnect_recovers_from_the_last_position(gateway: RunningGateway) -> None:
    gateway.channels.answer = Subscribed(Position("e", 7))
    async with sdk_client(gateway) as (client, log):
        _, sub_log = await subscription(client, "chat:a")
        await sub_log.wait_for("subscribed")
        gateway.channels.answer = Subscribed(
            Position("e", 7), was_recovering=True, recovered=True, publications=(b'{"data":"missed","offset":8}',)
        )
        (connection,) = gateway.connections._open
        connection.feed(CloseRequested(Disconnects.FORCE_RECONNECT))
        (_, again) = await sub_log.wait_for("subscribed", 2)
        assert (again.was_recovering, again.recovered) == (True, True)
        (missed,) = await sub_log.wait_for("publication")
        assert (missed.pub.data, missed.pub.offset) == ("missed", 8)
        assert gateway.channels.requests[-1].recover_from == Position("e", 7)
        assert len(log.of("connected")) == 2


async def test_insufficient_state_makes_the_sdk_subscribe_anew(gateway: RunningGateway) -> None:
    gateway.channels.answer = Subscribed(Position("e", 7))
    async with sdk_client(gateway) as (client, _):
        _, log = await subscription(client, "chat:a")
        await log.wait_for("subscribed")
        (subscriber,) = gateway.channels.subscribers.pop("chat:a").values()
        subscriber.unsubscribed("chat:a", Unsubscribes.INSUFFICIENT_STATE)
        await log.wait_for("subscribed", 2)


async def test_server_side_subscription_delivers_and_recovers(gateway: RunningGateway) -> None:
    gateway.services.admitted = Admitted(user="alice", channels=("chat:mine",), grants=EVERYTHING)
    gateway.channels.answer = Subscribed(Position("e", 2))
    async with sdk_client(gateway) as (_, log):
        await log.wait_for("subscribed")
        gateway.channels.publish("chat:mine", b'"hello"')
        (context,) = await log.wait_for("publication")
        assert (context.channel, context.pub.data) == ("chat:mine", "hello")
        (connection,) = gateway.connections._open
        connection.feed(CloseRequested(Disconnects.FORCE_RECONNECT))
        await log.wait_for("connected", 2)
        assert gateway.channels.requests[-1].recover_from == Position("e", 2)


async def test_sdk_refreshes_its_token_before_the_connection_expires(gateway: RunningGateway) -> None:
    tokens = iter(["first", "second"])

    async def get_token() -> str:
        return next(tokens)

    gateway.services.admitted = Admitted(user="alice", expire_at=time.time() + 1.2)
    gateway.services.refreshed = Admitted(user="alice", expire_at=time.time() + 600)
    async with sdk_client(gateway, get_token=get_token) as (_, log):
        await until(lambda: gateway.counters.commands["refresh"] == 1)
        assert [request.token for request in gateway.services.connects] == ["first"]
        assert len(log.of("connected")) == 1
        assert not log.of("error")


@pytest.mark.parametrize(
    ("refused", "code"),
    [
        (Refused(code=3500, reason="invalid token", disconnect=True), 3500),
        (Refused(code=101, reason="unauthorized"), 101),
    ],
)
async def test_refused_client_stays_away(gateway: RunningGateway, refused: Refused, code: int) -> None:
    gateway.services.admitted = refused
    async with sdk_client(gateway) as (_, log):
        (context,) = await log.wait_for("disconnected")
        assert context.code == code
    assert len(gateway.services.connects) == 1


async def test_client_comes_back_after_a_shutdown(gateway: RunningGateway) -> None:
    async with sdk_client(gateway) as (_, log):
        await log.wait_for("connected")
        await gateway.connections.send_away(window=0, deadline=2)
        await log.wait_for("connected", 2)


async def test_sdk_answers_pings() -> None:
    async with (
        running_gateway(rules={"ping_interval": 0.3, "pong_timeout": 0.25}) as pinging,
        sdk_client(pinging) as (_, log),
    ):
        await until(lambda: pinging.counters.commands["pong"] == 3)
        assert len(log.of("connected")) == 1
