"""Payloads, tokens and secrets appear in no log and in no span."""

from __future__ import annotations

import json
import secrets

import aio_pika
import aiohttp
import pytest
from clients.backend import Backend, channel_key, message_of
from clients.party import Clients
from clients.sdk import connected, subscribed
from eventually import eventually
from staging.suite import Suite

pytestmark = [pytest.mark.e2e, pytest.mark.broker]


async def test_no_payload_token_or_password_is_logged_or_traced(suite: Suite, clients: Clients, unique: str) -> None:
    canary, last = f"canary-{secrets.token_hex(8)}", secrets.token_hex(16)
    channels = [f"live:{unique}", f"chat:{unique}"]
    alice = await subscribed(
        await connected(await clients.make("python", 0, "alice", info={"secret": canary})), *channels
    )
    bob = await subscribed(await connected(await clients.make("js", 1, "bob")), *channels)
    for channel in channels:
        await alice.publish(channel, {"text": canary})
        await bob.log.one("publication", channel)
    await bob.presence(channels[1])
    await bob.history(channels[1], limit=10)
    await misbehave(suite, clients, canary, channels)
    async with Backend.connected(suite.backend_url) as backend:
        headers = {"traceparent": f"00-{last}-{secrets.token_hex(8)}-01", "tag-a": canary}
        await backend.publish(channels[1], canary, headers=headers)

    def exported() -> bool:
        return any(span.service == "warren-gateway" for span in suite.receiver.of_trace(last))

    await eventually(exported, what="the last publication's spans")
    hidden = [
        canary,
        suite.setting.token_secret,
        suite.setting.api_key,
        *(login.password for login in suite.setting.logins.values()),
        *(token.rpartition(".")[2] for token in suite.tokens if token.count(".") == 2 and not token.endswith(".")),
        *(token.split(".")[1] for token in suite.tokens if token.count(".") == 2),
    ]
    for name, lines in suite.output.lines.items():
        text = "\n".join(lines)
        assert not [word for word in hidden if word in text], name
    spans = b"\n".join(suite.receiver.bodies)
    assert not [word for word in hidden if word.encode() in spans]


async def misbehave(suite: Suite, clients: Clients, canary: str, channels: list[str]) -> None:
    """Make everything complain about something that holds the canary."""
    async with aiohttp.ClientSession() as http:
        for key in (suite.setting.api_key, canary):
            for body in ({"channel": "nowhere:a", "data": canary}, {"channel": canary * 99, "b64data": canary}, canary):
                headers = {"X-API-Key": key}
                async with http.post(f"{suite.api_url}/publish", json=body, headers=headers) as answer:
                    assert answer.status in {200, 400, 401}
    async with clients.raw() as client:
        await client.connect(suite.token("mallory"))
        await client.send(json.dumps({"id": 2, "publish": {"channel": "nowhere:a", "data": canary}}) + "\n{" + canary)
        await client.closed()
    async with clients.raw() as client:
        await client.send(json.dumps({"id": 1, "connect": {"token": f"a.{canary}.c"}}))
        await client.closed()
    async with Backend.connected(suite.backend_url) as backend:
        for channel in channels:
            await backend.publish_bytes(channel_key(channel), b"{" + canary.encode())
    async with await aio_pika.connect(suite.amqp_url) as connection:
        amqp_channel = await connection.channel()
        for exchange, key in (("warren.presence", "chat.a"), ("warren.control", "all.presence")):
            target = await amqp_channel.get_exchange(exchange, ensure=False)
            await target.publish(message_of(json.dumps({"type": "x", "secret": canary}).encode()), key)
