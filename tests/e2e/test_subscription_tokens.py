"""Subscriptions with tokens of their own, through the whole suite, with the official SDKs."""

from __future__ import annotations

import time
from typing import Any

import pytest
from clients.party import Clients
from clients.sdk import GetToken, SdkClient, SdkError, connected
from eventually import eventually
from staging.programs import AUDIENCE
from staging.suite import Suite

pytestmark = [pytest.mark.e2e, pytest.mark.broker]
every_sdk = pytest.mark.parametrize("sdk", ["python", "js", "python protobuf", "js protobuf"])


class Tokens:
    """A backend that hands out tokens for one channel."""

    def __init__(self, suite: Suite, channel: str, *, user: str = "alice", ttl: float = 600, **claims: Any) -> None:
        self._suite, self._claims, self._ttl = suite, {"sub": user, "channel": channel, **claims}, ttl
        self.asked = 0
        self.texts: list[str] = []
        """What is handed out first, instead of good ones."""

    async def get(self) -> str:
        self.asked += 1
        if self.texts:
            return self.texts.pop(0)
        return self._suite.sign(self._claims | {"aud": AUDIENCE, "exp": time.time() + self._ttl})


async def subscribe(client: SdkClient, channel: str, get_token: GetToken) -> SdkClient:
    await client.subscribe(channel, get_token=get_token)
    await client.log.one("subscribed", channel)
    return client


@every_sdk
async def test_a_token_opens_a_private_channel_with_what_the_namespace_gives_its_subscribers(
    suite: Suite, clients: Clients, unique: str, sdk: str
) -> None:
    channel = f"chat:${unique}"
    alice = await connected(await clients.make(sdk, 0, "alice"))
    bob = await connected(await clients.make("js", 1, "bob"))
    await subscribe(alice, channel, Tokens(suite, channel, info={"role": "host"}).get)
    await subscribe(bob, channel, Tokens(suite, channel, user="bob").get)

    await alice.publish(channel, "hello")

    assert (await bob.log.one("publication", channel))["data"] == "hello"
    await eventually(lambda: _both(alice, channel))
    assert (await bob.history(channel, limit=1)).publications == ((1, "hello"),)


async def _both(client: SdkClient, channel: str) -> bool:
    return await client.presence_stats(channel) == (2, 2)


@every_sdk
async def test_without_a_token_or_with_one_that_is_none_a_private_channel_is_closed(
    suite: Suite, clients: Clients, unique: str, sdk: str
) -> None:
    channel, other = f"chat:${unique}", f"chat:${unique}-2"
    alice = await connected(await clients.make(sdk, 0, "alice"))
    await alice.subscribe(channel)
    assert (await alice.log.one("unsubscribed", channel))["code"] == 103
    rubbish = Tokens(suite, other)
    rubbish.texts = ["rubbish"]
    await alice.subscribe(other, get_token=rubbish.get)
    assert (await alice.log.one("unsubscribed", other))["code"] == 103
    assert not alice.log.all("disconnected")


@every_sdk
async def test_a_token_for_another_channel_or_user_ends_the_connection_for_good(
    suite: Suite, clients: Clients, unique: str, sdk: str
) -> None:
    channel = f"chat:${unique}"
    for tokens in (Tokens(suite, f"{channel}-2"), Tokens(suite, channel, user="mallory")):
        alice = await connected(await clients.make(sdk, 0, "alice"))
        await alice.subscribe(channel, get_token=tokens.get)
        assert (await alice.log.one("disconnected"))["code"] == 3500


@every_sdk
async def test_an_expired_token_makes_the_sdk_fetch_another(
    suite: Suite, clients: Clients, unique: str, sdk: str
) -> None:
    channel = f"chat:${unique}"
    tokens = Tokens(suite, channel)
    tokens.texts = [suite.sign({"sub": "alice", "channel": channel, "aud": AUDIENCE, "exp": 1})]
    await subscribe(await connected(await clients.make(sdk, 0, "alice")), channel, tokens.get)
    assert tokens.asked == 2


@every_sdk
async def test_a_subscription_is_refreshed_before_it_expires_and_nothing_is_missed(
    suite: Suite, clients: Clients, unique: str, sdk: str
) -> None:
    channel = f"chat:${unique}"
    tokens = Tokens(suite, channel, ttl=2.5)
    alice = await subscribe(await connected(await clients.make(sdk, 0, "alice")), channel, tokens.get)
    await eventually(lambda: tokens.asked >= 4, deadline=20, what="refreshed three times")
    await alice.publish(channel, "still here")
    await alice.log.one("publication", channel)
    assert not alice.log.all("unsubscribed", channel)
    assert len(alice.log.all("subscribed", channel)) == 1


async def test_a_subscription_that_is_not_refreshed_ends_with_2501_and_the_connection_lives_on(
    suite: Suite, clients: Clients, unique: str
) -> None:
    channel = f"chat:${unique}"
    token = await Tokens(suite, channel, ttl=1.2).get()
    async with clients.raw() as raw:
        await raw.call(connect={"token": suite.token("alice")})
        reply = await raw.call(subscribe={"channel": channel, "token": token})
        assert (reply["subscribe"]["expires"], reply["subscribe"]["ttl"]) == (True, 1)
        push = (await raw.message(lambda message: "unsubscribe" in message.get("push", {})))["push"]
        assert push == {"channel": channel, "unsubscribe": {"code": 2501, "reason": "subscription expired"}}
        refused = await raw.call(publish={"channel": channel, "data": 1})
        assert refused["error"]["code"] == 103


async def test_where_auth_is_away_a_subscription_with_a_token_may_be_tried_again(
    suite: Suite, clients: Clients, unique: str
) -> None:
    channel = f"chat:${unique}"
    alice = await connected(await clients.make("js", 0, "alice"))
    await suite.kill9("auth")
    try:
        await alice.subscribe(channel, get_token=Tokens(suite, channel).get)
        failed = await alice.log.one("error", channel)
        assert failed["code"] == 100
    finally:
        await suite.start("auth")
    await alice.log.one("subscribed", channel, deadline=20)


async def test_an_answer_to_a_refresh_says_what_is_wrong_with_it(suite: Suite, clients: Clients, unique: str) -> None:
    channel = f"chat:${unique}"
    tokens = Tokens(suite, channel)
    expired = suite.sign({"sub": "alice", "channel": channel, "aud": AUDIENCE, "exp": 1})
    async with clients.raw() as raw:
        await raw.call(connect={"token": suite.token("alice")})
        await raw.call(subscribe={"channel": channel, "token": await tokens.get()})
        assert (await raw.call(sub_refresh={"channel": channel, "token": expired}))["error"]["code"] == 109
        assert (await raw.call(sub_refresh={"channel": channel}))["error"]["code"] == 107
        assert (await raw.call(sub_refresh={"channel": f"{channel}-2", "token": expired}))["error"]["code"] == 103
        good = await raw.call(sub_refresh={"channel": channel, "token": await tokens.get()})
        assert good["sub_refresh"] == {"expires": True, "ttl": 599}


async def test_grants_of_a_token_end_with_the_subscription(suite: Suite, clients: Clients, unique: str) -> None:
    channel = f"chat:${unique}"
    alice = await connected(await clients.make("python", 0, "alice"))
    await subscribe(alice, channel, Tokens(suite, channel).get)
    await alice.publish(channel, 1)
    await alice.unsubscribe(channel)
    with pytest.raises(SdkError) as refused:
        await alice.publish(channel, 2)
    assert refused.value.code == 103
