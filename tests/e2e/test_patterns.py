"""Subscriptions to patterns of channels, through the whole suite, with the official SDKs in both encodings."""

from __future__ import annotations

import time

import pytest
from clients.backend import Backend
from clients.orders import order
from clients.party import Clients
from clients.sdk import connected, subscribed
from eventually import eventually
from staging.programs import AUDIENCE
from staging.suite import Suite

pytestmark = [pytest.mark.e2e, pytest.mark.broker]
every_sdk = pytest.mark.parametrize("sdk", ["python", "js", "python protobuf", "js protobuf"])


@every_sdk
@pytest.mark.parametrize("namespace", ["orders", "trades"])
async def test_a_pattern_is_shown_what_clients_and_backends_publish_on_every_gateway(
    suite: Suite, clients: Clients, unique: str, sdk: str, namespace: str
) -> None:
    pattern, one, other = (f"{namespace}:{unique}.{rest}" for rest in ("*.created", "1.created", "2.created"))
    watching = await subscribed(await connected(await clients.make(sdk, 0, "watching")), pattern)
    bob = await subscribed(await connected(await clients.make("js", 1, "bob")), one)
    await bob.publish(one, {"n": 1})
    async with Backend.connected(suite.backend_url) as backend:
        await backend.publish(other, {"n": 2}, headers={"tag-kind": "greeting"})
        await backend.publish(f"{namespace}:{unique}.1.updated", {"n": 3})
        await backend.publish(one, {"n": 4})

    got = await watching.log.until("publication", pattern, count=3)
    # What comes on different channels may come in any order.
    assert sorted(event["data"]["n"] for event in got) == [1, 2, 4]
    assert {event["data"]["n"]: event["tags"] for event in got}[2] == {"kind": "greeting"}
    assert await bob.log.until("publication", one, count=2)
    assert not watching.log.all("publication", one)


async def test_on_the_wire_the_subscription_has_no_position_and_publications_name_their_channel(
    suite: Suite, clients: Clients, unique: str
) -> None:
    pattern, channel = f"trades:{unique}.#", f"trades:{unique}.1"
    async with clients.raw() as raw:
        await raw.connect(suite.token("alice"))
        assert await raw.subscribe(pattern, recover=True, recoverable=True, positioned=True) == {}
        async with Backend.connected(suite.backend_url) as backend:
            await backend.publish(channel, 1)
        push = (await raw.message(lambda message: "push" in message))["push"]
        assert push["channel"] == pattern
        assert (push["pub"]["channel"], push["pub"]["data"], push["pub"]["offset"]) == (channel, 1, 1)


async def test_private_channels_are_shown_to_no_pattern(suite: Suite, clients: Clients, unique: str) -> None:
    private, public = f"orders:${unique}", f"orders:{unique}"
    watching = await subscribed(await connected(await clients.make("python", 0, "watching")), "orders:#")
    async with Backend.connected(suite.backend_url) as backend:
        await backend.publish(private, f"secret {unique}")
        await backend.publish(public, f"open {unique}")
    await watching.log.one("publication", "orders:#", matches=lambda event: event["data"] == f"open {unique}")
    assert f"secret {unique}" not in watching.log.data("orders:#")


async def test_a_pattern_is_refused_where_it_is_not_allowed_and_nothing_else_may_be_done_with_one(
    suite: Suite, clients: Clients, unique: str
) -> None:
    async with clients.raw() as raw:
        await raw.connect(suite.token("alice"))
        assert await raw.error(subscribe={"channel": f"live:{unique}.*"}) == 107
        assert await raw.error(subscribe={"channel": "orders:#.a.#"}) == 107
        assert await raw.error(subscribe={"channel": "$orders:*"}) == 107
        await raw.subscribe(f"orders:{unique}.*")
        assert await raw.error(publish={"channel": f"orders:{unique}.*", "data": 1}) == 107
        assert await raw.error(history={"channel": f"orders:{unique}.*"}) == 107
        assert await raw.error(presence={"channel": f"orders:{unique}.*"}) == 107


async def test_the_token_may_name_a_pattern(suite: Suite, clients: Clients, unique: str) -> None:
    pattern = f"orders:{unique}.*"
    alice = await connected(await clients.make("js", 0, "alice", channels=[pattern]))
    await alice.log.one("subscribed", pattern)
    async with Backend.connected(suite.backend_url) as backend:
        await backend.publish(f"orders:{unique}.1", 5)
    assert (await alice.log.one("publication", pattern))["data"] == 5


async def test_patterns_are_shown_what_comes_after_the_broker_was_killed(
    suite: Suite, clients: Clients, unique: str
) -> None:
    if not suite.broker.private:
        pytest.skip("the broker of this run is somebody else's: it is not to be killed")
    pattern = f"orders:{unique}.*"
    watching = await subscribed(await connected(await clients.make("python", 0, "watching")), pattern)
    await suite.kill9("rabbitmq")
    await suite.start("rabbitmq")
    await suite.wait_ready()

    async def arrives() -> bool:
        async with Backend.connected(suite.backend_url) as backend:
            await backend.publish(f"orders:{unique}.1", 1)
        return bool(watching.log.all("publication", pattern))

    await eventually(arrives, deadline=30, what="shown again")
    assert not watching.log.all("unsubscribed", pattern)


@every_sdk
async def test_a_token_or_a_backends_order_may_be_for_a_pattern(
    suite: Suite, clients: Clients, unique: str, sdk: str
) -> None:
    by_token, by_order = f"orders:{unique}.token.*", f"orders:{unique}.order.#"
    alice = await connected(await clients.make(sdk, 0, unique))

    async def token() -> str:
        return suite.sign({"sub": unique, "channel": by_token, "aud": AUDIENCE, "exp": time.time() + 600})

    await alice.subscribe(by_token, get_token=token)
    await alice.log.one("subscribed", by_token)
    await order(suite.backend_url, "subscribe", user=unique, channel=by_order)
    await alice.log.one("subscribed", by_order)
    async with Backend.connected(suite.backend_url) as backend:
        await backend.publish(f"orders:{unique}.token.1", {"n": 1})
        await backend.publish(f"orders:{unique}.order.1.2", {"n": 2})
        await alice.log.one("publication", by_token, matches=lambda event: event["data"] == {"n": 1})
        await alice.log.one("publication", by_order, matches=lambda event: event["data"] == {"n": 2})
        await order(suite.backend_url, "unsubscribe", user=unique, channel=by_order)
        await alice.log.one("unsubscribed", by_order)
        await backend.publish(f"orders:{unique}.order.3", {"n": 3})
        await backend.publish(f"orders:{unique}.token.3", {"n": 4})
        await alice.log.one("publication", by_token, matches=lambda event: event["data"] == {"n": 4})
    assert alice.log.data(by_order) == [{"n": 2}]
