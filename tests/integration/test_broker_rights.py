"""Every service logs in as a broker user of its own, which may do its work and nothing more."""

from __future__ import annotations

import secrets

import aio_pika
import pytest
from aiormq.exceptions import ChannelAccessRefused
from staging.broker import VirtualHost

from warren_shared.contracts.namespaces import parse_namespaces
from warren_shared.runtime.topology_command import apply_topology

pytestmark = pytest.mark.broker

MAY_PUBLISH = [
    ("backend", "warren.publish", "chat.a"),
    ("warren-gateway", "warren.publish", "chat.a"),
    ("warren-gateway", "warren.presence", "chat.a"),
    ("warren-gateway", "warren.rpc", "auth.connect"),
    ("warren-gateway", "warren.rpc", "history.read"),
    ("warren-gateway", "warren.rpc", "app.chat:rename.now"),
    ("backend", "warren.replies", "warren.reply.gateway.0123456789abcdef"),
    ("warren-history", "warren.rpc", "history.remove"),
    ("warren-gateway", "warren.events", "gateway.heartbeat"),
    ("warren-gateway", "warren.events", "gateway.stopped"),
    ("warren-gateway", "warren.events", "client.message"),
    ("warren-gateway", "warren.control", "emulation.gw-1"),
    ("warren-history", "warren.deliver", "chat.a"),
    ("warren-presence", "warren.deliver", "chat.a"),
    ("warren-presence", "warren.control", "all.presence"),
    ("warren-presence", "warren.events", "channel.vacated"),
    ("warren-history", "warren.dead", "chat.a"),
]
MAY_NOT_PUBLISH = [
    ("backend", "warren.deliver", "chat.a"),
    ("backend", "warren.rpc", "auth.connect"),
    ("backend", "warren.rpc", "app.chat:rename"),
    ("backend", "", "warren.rpc.auth"),
    ("backend", "warren.events", "client.connected"),
    ("backend", "warren.events", "channel.occupied"),
    ("warren-gateway", "warren.events", "channel.occupied"),
    ("warren-presence", "warren.events", "client.connected"),
    ("backend", "warren.replies", "warren.reply.auth.0123456789abcdef"),
    ("warren-gateway", "warren.rpc", "app.#"),
    ("backend", "warren.control", "all.presence"),
    ("backend", "warren.presence", "chat.a"),
    ("warren-gateway", "warren.deliver", "chat.a"),
    ("warren-gateway", "warren.control", "all.presence"),
    ("warren-gateway", "warren.control", "user.disconnect"),
    ("warren-gateway", "warren.control", "gateway.gw-1"),
    ("backend", "warren.control", "emulation.gw-1"),
    ("warren-presence", "warren.control", "emulation.gw-1"),
    ("warren-gateway", "warren.rpc", "presence.anything"),
    ("warren-gateway", "warren.rpc", "history.remove"),
    ("warren-history", "warren.rpc", "history.read"),
    ("warren-history", "warren.rpc", "auth.connect"),
    ("warren-auth", "warren.rpc", "history.remove"),
    ("backend", "warren.rpc", "history.remove"),
    ("warren-auth", "warren.publish", "chat.a"),
    ("warren-auth", "warren.deliver", "chat.a"),
    ("warren-presence", "warren.publish", "chat.a"),
    ("warren-history", "warren.control", "all.presence"),
]
MAY_NOT_CONSUME = [
    ("backend", "warren.dead"),
    ("backend", "warren.rpc.auth"),
    ("backend", "warren.rpc.history"),
    ("backend", "warren.presence.0"),
    ("warren-gateway", "warren.history.0"),
    ("warren-gateway", "warren.rpc.auth"),
    ("warren-auth", "warren.presence.0"),
    ("warren-presence", "warren.rpc.auth"),
    ("warren-history", "warren.rpc.auth"),
]


@pytest.fixture
async def host(bus_host: VirtualHost) -> VirtualHost:
    await apply_topology(bus_host.administrator.secret(), namespaces=parse_namespaces("namespaces: [{name: chat}]"))
    return bus_host


@pytest.mark.parametrize(("user", "exchange", "key"), MAY_PUBLISH)
async def test_a_user_may_publish_what_its_work_needs(host: VirtualHost, user: str, exchange: str, key: str) -> None:
    async with await aio_pika.connect(host.logins[user].secret()) as connection:
        amqp_channel = await connection.channel()
        target = await amqp_channel.get_exchange(exchange, ensure=False)

        await target.publish(aio_pika.Message(b"1"), key, mandatory=False, timeout=5)


@pytest.mark.parametrize(("user", "exchange", "key"), MAY_NOT_PUBLISH)
async def test_a_user_may_not_publish_in_anothers_name(host: VirtualHost, user: str, exchange: str, key: str) -> None:
    async with await aio_pika.connect(host.logins[user].secret()) as connection:
        amqp_channel = await connection.channel()
        target = await amqp_channel.get_exchange(exchange, ensure=False)

        with pytest.raises(ChannelAccessRefused):
            await target.publish(aio_pika.Message(b"1"), key, mandatory=False, timeout=5)


@pytest.mark.parametrize(("user", "queue"), MAY_NOT_CONSUME)
async def test_a_user_may_not_read_anothers_queue(host: VirtualHost, user: str, queue: str) -> None:
    async with await aio_pika.connect(host.logins[user].secret()) as connection:
        amqp_channel = await connection.channel()
        foreign = await amqp_channel.get_queue(queue, ensure=False)

        with pytest.raises(ChannelAccessRefused):
            await foreign.get(fail=False, timeout=5)


@pytest.mark.parametrize(
    ("user", "exchange"),
    [("warren-auth", "warren.rpc"), ("warren-presence", "warren.deliver"), ("warren-gateway", "warren.rpc")],
)
async def test_a_user_may_not_listen_to_what_is_not_for_it(host: VirtualHost, user: str, exchange: str) -> None:
    own = f"{user.replace('-', '.')}.{secrets.token_hex(8)}"
    async with await aio_pika.connect(host.logins[user].secret()) as connection:
        queue = await (await connection.channel()).declare_queue(own, exclusive=True)

        with pytest.raises(ChannelAccessRefused):
            await queue.bind(exchange, "#", timeout=5)


@pytest.mark.parametrize(
    ("exchange", "key"),
    [
        ("warren.rpc", "app.#"),
        ("warren.rpc", "app.chat:rename"),
        ("warren.events", "client.*"),
        ("warren.events", "client.#"),
        ("warren.events", "client.message"),
    ],
)
async def test_a_backend_may_declare_a_queue_of_its_own_for_calls_and_events(
    host: VirtualHost, exchange: str, key: str
) -> None:
    async with await aio_pika.connect(host.logins["backend"].secret()) as connection:
        queue = await (await connection.channel()).declare_queue("app.test", exclusive=True)

        await queue.bind(exchange, key, timeout=5)
        assert await queue.get(fail=False, timeout=5) is None


@pytest.mark.parametrize(
    ("exchange", "key"),
    [
        ("warren.rpc", "#"),
        ("warren.rpc", "*.*"),
        ("warren.rpc", "*.connect"),
        ("warren.rpc", "auth.*"),
        ("warren.rpc", "history.#"),
        ("warren.rpc", "app"),
        ("warren.events", "#"),
        ("warren.events", "gateway.*"),
        ("warren.events", "*.heartbeat"),
        ("warren.replies", "#"),
        ("warren.replies", "warren.reply.gateway.0123456789abcdef"),
        ("warren.publish", "chat.a"),
        ("warren.deliver", "chat.a"),
    ],
)
async def test_a_backend_may_take_nothing_but_calls_and_events_of_clients(
    host: VirtualHost, exchange: str, key: str
) -> None:
    async with await aio_pika.connect(host.logins["backend"].secret()) as connection:
        queue = await (await connection.channel()).declare_queue("app.test", exclusive=True)

        with pytest.raises(ChannelAccessRefused):
            await queue.bind(exchange, key, timeout=5)


async def test_a_gateway_may_listen_to_every_channel(host: VirtualHost) -> None:
    own = f"warren.gateway.{secrets.token_hex(8)}"
    async with await aio_pika.connect(host.logins["warren-gateway"].secret()) as connection:
        queue = await (await connection.channel()).declare_queue(own, exclusive=True)

        await queue.bind("warren.deliver", "#", timeout=5)


@pytest.mark.parametrize("user", ["backend", "warren-gateway", "warren-auth", "warren-presence", "warren-history"])
async def test_no_user_may_declare_what_is_shared(host: VirtualHost, user: str) -> None:
    async with await aio_pika.connect(host.logins[user].secret()) as connection:
        with pytest.raises(ChannelAccessRefused):
            await (await connection.channel()).declare_exchange("warren.other", durable=True)
        with pytest.raises(ChannelAccessRefused):
            await (await connection.channel()).declare_queue("warren.other", durable=True)
