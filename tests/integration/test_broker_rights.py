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
    ("warren-history", "warren.rpc", "history.remove"),
    ("warren-gateway", "warren.events", "gateway.heartbeat"),
    ("warren-gateway", "warren.events", "gateway.stopped"),
    ("warren-history", "warren.deliver", "chat.a"),
    ("warren-presence", "warren.deliver", "chat.a"),
    ("warren-presence", "warren.control", "all.presence"),
    ("warren-history", "warren.dead", "chat.a"),
]
MAY_NOT_PUBLISH = [
    ("backend", "warren.deliver", "chat.a"),
    ("backend", "warren.rpc", "auth.connect"),
    ("backend", "warren.control", "all.presence"),
    ("backend", "warren.presence", "chat.a"),
    ("warren-gateway", "warren.deliver", "chat.a"),
    ("warren-gateway", "warren.control", "all.presence"),
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
