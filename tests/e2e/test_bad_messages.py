"""Messages that no part of Warren can use: kept as dead letters with the reason, logged and counted."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from typing import Any

import aio_pika
import pytest
from clients.backend import Backend, channel_key, message_of
from clients.dead_letters import find_dead_letter
from clients.party import Clients
from clients.sdk import connected, subscribed
from staging.suite import Suite

from warren_shared.contracts.pack import Packed, PackWriter, pack_publication

pytestmark = [pytest.mark.e2e, pytest.mark.broker, pytest.mark.usefixtures("bystander")]


@asynccontextmanager
async def exchange(suite: Suite, name: str) -> AsyncIterator[aio_pika.abc.AbstractExchange]:
    """Publish with the administrator's rights: backends may not reach this exchange."""
    async with await aio_pika.connect(suite.amqp_url) as connection:
        amqp_channel = await connection.channel()
        yield await amqp_channel.get_exchange(name, ensure=False)


BAD_DURABLE: dict[str, tuple[str, bytes, dict[str, Any], str]] = {
    "no JSON": ("chat.{0}", b"{not json", {}, "bad_payload"),
    "empty": ("chat.{0}", b"", {}, "bad_payload"),
    "no UTF-8": ("chat.{0}", b'"\xff"', {}, "bad_payload"),
    "no object where one is asked for": ("objects.{0}", b"[1]", {}, "bad_payload"),
    "a tag that is no text": ("chat.{0}", b"1", {"tag-a": 7}, "bad_tags"),
    "an info that is no object": ("chat.{0}", b"1", {"info": "{"}, "bad_info"),
    "a wildcard word": ("chat.{0}.#", b"1", {}, "bad_channel"),
    "a header the broker acts on": ("chat.{0}", b"hello", {"CC": ["x"], "BCC": []}, "bad_payload"),
    "too large": ("chat.{0}", b'"' + b"x" * 1_100_000 + b'"', {}, "too_large"),
}


@pytest.mark.parametrize(("key", "body", "headers", "reason"), BAD_DURABLE.values(), ids=BAD_DURABLE)
async def test_a_bad_publication_on_a_durable_channel_becomes_a_dead_letter_and_those_around_it_arrive(
    suite: Suite, clients: Clients, unique: str, key: str, body: bytes, headers: dict[str, Any], reason: str
) -> None:
    channel = key.format(unique).replace(".", ":", 1) if reason != "bad_channel" else f"chat:{unique}"
    alice = await subscribed(await connected(await clients.make("python", 0, "alice")), channel)

    async with (
        suite.counting("history", "warren_history_rejected_total", reason=reason),
        suite.logging("history", "delivery_dead_lettered", reason=reason, message_id=unique),
        Backend.connected(suite.backend_url) as backend,
    ):
        await backend.publish(channel, {"n": 1})
        await backend.publish_bytes(key.format(unique), body, message_id=unique, headers=headers)
        await backend.publish(channel, {"n": 2})

    letter = await find_dead_letter(suite.amqp_url, unique)
    assert (letter.body, letter.key) == (body, key.format(unique))
    assert letter.reason.startswith(reason)
    assert letter.headers["x-warren-service"] == "history"
    got = await alice.log.until("publication", channel, count=2)
    assert [(event["offset"], event["data"]) for event in got] == [(1, {"n": 1}), (2, {"n": 2})]


@contextmanager
def store_refusing(suite: Suite, payload: str) -> Iterator[None]:
    """Have history's store fail on publications with that payload, each time, while the block runs."""
    with closing(sqlite3.connect(suite.setting.folder / "history.sqlite3", isolation_level=None)) as connection:
        connection.execute(
            "CREATE TRIGGER refusing BEFORE INSERT ON publications "
            f"WHEN NEW.data = CAST('{payload}' AS BLOB) BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
        try:
            yield
        finally:
            connection.execute("DROP TRIGGER refusing")


async def test_a_publication_the_store_fails_on_becomes_a_dead_letter_and_those_around_it_arrive(
    suite: Suite, clients: Clients, unique: str
) -> None:
    channel = f"chat:{unique}"
    alice = await subscribed(await connected(await clients.make("python", 0, "alice")), channel)
    with store_refusing(suite, '"poison"'):
        async with (
            suite.counting("history", "warren_history_rejected_total", reason="not_stored"),
            suite.logging("history", "append_crashed", error="IntegrityError"),
            Backend.connected(suite.backend_url) as backend,
        ):
            await backend.publish_all(channel, [(f"{unique}-1", 1), (unique, "poison"), (f"{unique}-2", 2)])
        letter = await find_dead_letter(suite.amqp_url, unique)

    assert (letter.body, letter.headers["x-warren-service"]) == (b'"poison"', "history")
    assert letter.reason == "not_stored: the store fails on it with IntegrityError"
    got = await alice.log.until("publication", channel, count=2)
    assert [(event["offset"], event["data"]) for event in got] == [(1, 1), (2, 2)]


async def test_a_publication_that_is_no_json_on_a_live_channel_reaches_nobody_and_is_kept(
    suite: Suite, clients: Clients, unique: str
) -> None:
    channel = f"live:{unique}"
    alice = await subscribed(await connected(await clients.make("python", 0, "alice")), channel)

    async with Backend.connected(suite.backend_url) as backend:
        await backend.publish_bytes(channel_key(channel), b"{not json", message_id=unique)
        await backend.publish(channel, "good")

    letter = await find_dead_letter(suite.amqp_url, unique)
    assert (letter.body, letter.headers["x-warren-service"]) == (b"{not json", "gateway")
    await alice.log.until("publication", channel)
    assert alice.log.data(channel) == ["good"]


async def test_clients_connect_while_a_backend_publishes_what_no_gateway_can_use(
    suite: Suite, clients: Clients, unique: str
) -> None:
    await subscribed(await connected(await clients.make("python", 0, "alice")), f"live:{unique}")
    async with Backend.connected(suite.backend_url) as backend, asyncio.TaskGroup() as group:

        async def publish_garbage() -> None:
            while True:
                await backend.publish_bytes(f"live.{unique}", b"hello", headers={"CC": ["x"]})

        garbage = group.create_task(publish_garbage())
        for number in range(30):
            async with clients.raw() as client:
                reply = await client.call(connect={"token": suite.token(f"{unique}-{number}")})
                assert reply["connect"]["client"]
        garbage.cancel()


async def test_a_publication_on_an_unknown_namespace_is_kept_with_its_key(suite: Suite, unique: str) -> None:
    async with Backend.connected(suite.backend_url) as backend:
        await backend.publish_bytes("nowhere.a", b"1", message_id=unique)

    assert (await find_dead_letter(suite.amqp_url, unique)).key == "nowhere.a"


BAD_CONTRACTS = {
    "no JSON": b"garbage",
    "no object": b"[]",
    "an unknown type": json.dumps({"type": "presence.teleported", "v": 1}).encode(),
    "a newer version": json.dumps({"type": "presence.joined", "v": 99, "channel": "chat:a"}).encode(),
    "a field missing": json.dumps({"type": "presence.joined", "v": 1, "channel": "chat:a"}).encode(),
}


@pytest.mark.parametrize("body", BAD_CONTRACTS.values(), ids=BAD_CONTRACTS)
async def test_a_message_presence_does_not_understand_becomes_a_dead_letter(
    suite: Suite, unique: str, body: bytes
) -> None:
    before = await suite.total("presence", "warren_presence_dead_lettered_total")
    async with suite.logging("presence", "delivery_dead_lettered"), exchange(suite, "warren.presence") as presence:
        await presence.publish(message_of(body, message_id=unique), "chat.a")

    letter = await find_dead_letter(suite.amqp_url, unique)
    assert letter.body == body
    assert letter.headers["x-warren-service"] == "presence"
    assert letter.reason
    assert await suite.total("presence", "warren_presence_dead_lettered_total") == before + 1


@pytest.mark.parametrize(("service", "key"), [("auth", "auth.connect"), ("history", "history.read")])
@pytest.mark.parametrize("body", BAD_CONTRACTS.values(), ids=BAD_CONTRACTS)
async def test_a_request_that_is_not_understood_is_answered_so_and_logged(
    suite: Suite, service: str, key: str, body: bytes
) -> None:
    async with suite.logging(service, "request_rejected"), await aio_pika.connect(suite.amqp_url) as connection:
        amqp_channel = await connection.channel()
        replies = await amqp_channel.declare_queue(exclusive=True)
        request = aio_pika.Message(body, reply_to=replies.name, correlation_id="1")
        rpc = await amqp_channel.get_exchange("warren.rpc", ensure=False)
        await rpc.publish(request, key)
        async with replies.iterator(timeout=10) as arriving:
            reply = json.loads((await anext(arriving)).body)

    assert reply["type"] == "rpc.failed"
    assert reply["code"] in (100, 107)


async def test_an_order_no_gateway_understands_is_kept_logged_and_counted(suite: Suite, unique: str) -> None:
    unknown = json.dumps({"type": "control.explode", "v": 1}).encode()
    async with (
        suite.counting("gateway-1", "warren_gateway_dead_letters_total"),
        suite.counting("gateway-2", "warren_gateway_dead_letters_total"),
        suite.logging("gateway-1", "delivery_dead_lettered", exchange="warren.control"),
        suite.logging("gateway-2", "delivery_dead_lettered", exchange="warren.control"),
        exchange(suite, "warren.control") as control,
    ):
        await control.publish(message_of(unknown, message_id=unique), "all.presence")

    letter = await find_dead_letter(suite.amqp_url, unique)
    assert (letter.body, letter.headers["x-warren-exchange"]) == (unknown, "warren.control")


async def test_a_join_that_names_nobody_is_kept_and_reaches_nobody(suite: Suite, clients: Clients, unique: str) -> None:
    channel = f"live:{unique}"
    alice = await subscribed(await connected(await clients.make("js", 1, "alice")), channel)
    async with exchange(suite, "warren.deliver") as deliver, Backend.connected(suite.backend_url) as backend:
        await deliver.publish(aio_pika.Message(b"garbage", type="join", message_id=unique), channel_key(channel))
        await backend.publish(channel, "good")

    assert (await find_dead_letter(suite.amqp_url, unique)).body == b"garbage"
    await alice.log.until("publication", channel)
    assert [event.name for event in alice.log.events if event.channel == channel][-2:] == ["subscribed", "publication"]


@pytest.mark.parametrize("kind", ["live", "chat"])
async def test_a_backend_may_set_the_type_of_its_events_and_cannot_feign_a_join(
    suite: Suite, clients: Clients, unique: str, kind: str
) -> None:
    channel = f"{kind}:{unique}"
    alice = await subscribed(await connected(await clients.make("python", 0, "alice")), channel)
    since = alice.log.mark()
    async with await aio_pika.connect(suite.backend_url) as connection:
        amqp_channel = await connection.channel()
        publish = await amqp_channel.get_exchange("warren.publish", ensure=False)
        for number, event_type in enumerate(("order.created", "join", "leave", "pack")):
            body = json.dumps({"n": number, "user": "mallory", "client": "x"}).encode()
            await publish.publish(aio_pika.Message(body, type=event_type), channel_key(channel), mandatory=False)

    await alice.log.until("publication", channel, count=4)
    assert [event["data"]["n"] for event in alice.log.all("publication", channel)] == [0, 1, 2, 3]
    pushes = [event for event in alice.log.events[since:] if event.name in ("join", "leave")]
    assert "mallory" not in [event["user"] for event in pushes]


@pytest.mark.parametrize("kind", ["live", "chat"])
@pytest.mark.parametrize("key", ["{0}.{1}", "{0}"], ids=["the channel's key", "the namespace's key"])
async def test_a_pack_that_a_backend_forges_is_taken_apart_by_nobody(
    suite: Suite, clients: Clients, unique: str, kind: str, key: str
) -> None:
    channel = f"{kind}:{unique}"
    alice = await subscribed(await connected(await clients.make("python", 0, "alice")), channel)
    epoch = (await alice.log.one("subscribed", channel))["epoch"] or "e"
    writer = PackWriter()
    writer.add(channel_key(channel), epoch, pack_publication(Packed(1, 7, b'"forged"', {"info": '{"user":"admin"}'})))
    async with await aio_pika.connect(suite.backend_url) as connection:
        amqp_channel = await connection.channel()
        publish = await amqp_channel.get_exchange("warren.publish", ensure=False)
        forged = aio_pika.Message(writer.body(), type="pack", headers={"offset": 1, "epoch": epoch})
        await publish.publish(forged, key.format(kind, unique), mandatory=False)
        await publish.publish(aio_pika.Message(b'"good"'), channel_key(channel), mandatory=False)

    await alice.log.until("publication", channel)
    assert alice.log.data(channel) == ["good"]


async def test_a_malformed_pack_is_kept_with_its_reason_and_those_around_it_arrive(
    suite: Suite, clients: Clients, unique: str
) -> None:
    channel = f"chat:{unique}"
    alice = await subscribed(await connected(await clients.make("js", 1, "alice")), channel)
    async with exchange(suite, "warren.deliver") as deliver, Backend.connected(suite.backend_url) as backend:
        await backend.publish(channel, 1)
        await alice.log.until("publication", channel)
        await deliver.publish(aio_pika.Message(b"\x01\x00", type="pack", message_id=unique), channel_key(channel))
        await backend.publish(channel, 2)

    letter = await find_dead_letter(suite.amqp_url, unique)
    assert (letter.body, letter.reason) == (b"\x01\x00", "pack: shorter than its head")
    await alice.log.until("publication", channel, count=2)
    assert alice.log.data(channel) == [1, 2]
