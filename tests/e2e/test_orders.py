"""What backends order of clients over ``warren.control``, on both gateways and with both SDKs."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence

import pytest
from clients.backend import Backend
from clients.dead_letters import find_dead_letter
from clients.orders import order, order_bytes
from clients.party import Clients
from clients.sdk import SdkClient, connected, subscribed
from eventually import eventually
from pika.exceptions import ChannelClosedByBroker
from staging.programs import GATEWAYS
from staging.suite import Suite

pytestmark = [pytest.mark.e2e, pytest.mark.broker]
both_sdks = pytest.mark.parametrize("sdk", ["python", "js"])
PARENT = "00f067aa0ba902b7"


async def everywhere(clients: Clients, user: str) -> list[SdkClient]:
    """Connect a user with both SDKs on both gateways."""
    return [await connected(await clients.make(sdk, gateway, user)) for sdk in ("python", "js") for gateway in range(2)]


async def id_of(client: SdkClient) -> str:
    return str((await client.log.one("connected"))["client"])


async def still_connected(*which: SdkClient) -> None:
    """Every client has a round trip behind it, after which it would know that it was sent away."""
    for client in which:
        with pytest.raises(Exception, match="108"):
            await client.rpc("anything", {})
        assert client.log.all("disconnected") == []
        assert client.log.all("connecting")[1:] == []


async def settled(suite: Suite, counts: Sequence[float], kind: str) -> None:
    """Wait until both gateways have counted one more order of a kind."""

    async def both() -> bool:
        return await taken(suite, kind) == [count + 1 for count in counts]

    await eventually(both, what=f"{kind} taken by both gateways")


async def taken(suite: Suite, kind: str) -> list[float]:
    return [await suite.total(name, "warren_gateway_control_total", command=kind) for name in GATEWAYS]


class TestDisconnect:
    async def test_everyone_of_the_user_is_gone_from_both_gateways_within_a_second(
        self, suite: Suite, clients: Clients, unique: str
    ) -> None:
        bob = await connected(await clients.make("python", 0, f"{unique}-bob"))
        seconds: list[float] = []
        for attempt in range(3):  # the quickest counts: a machine that is busy says nothing of Warren
            user = f"{unique}-{attempt}"
            of_user = await everywhere(clients, user)
            await order(suite.backend_url, "disconnect", user=user)
            confirmed = asyncio.get_running_loop().time()
            for client in of_user:
                assert (await client.log.one("disconnected"))["code"] == 3503
            seconds.append(max(client.log.moments[-1] for client in of_user) - confirmed)
            if seconds[-1] < 1:
                break
        assert min(seconds) < 1
        await still_connected(bob)

    @both_sdks
    async def test_one_client_alone_goes(self, suite: Suite, clients: Clients, unique: str, sdk: str) -> None:
        goes = await connected(await clients.make(sdk, 0, unique))
        stays = [await connected(await clients.make(sdk, gateway, unique)) for gateway in range(2)]
        await order(suite.backend_url, "disconnect", client=await id_of(goes), code=4501, reason="blocked")
        assert (await goes.log.one("disconnected"))["code"] == 4501
        await still_connected(*stays)

    async def test_who_is_on_the_whitelist_stays(self, suite: Suite, clients: Clients, unique: str) -> None:
        stays, *go = await everywhere(clients, unique)
        await order(suite.backend_url, "disconnect", user=unique, whitelist=[await id_of(stays)])
        for client in go:
            await client.log.one("disconnected")
        await still_connected(stays)

    async def test_one_session_alone_goes(self, suite: Suite, clients: Clients, unique: str) -> None:
        stays = await connected(await clients.make("python", 0, unique))
        async with clients.raw(0) as raw:
            session = (await raw.connect(suite.token(unique)))["session"]
            await order(suite.backend_url, "disconnect", user=unique, session=session)
            assert await raw.closed() == (3503, "force disconnect")
        await still_connected(stays)

    async def test_an_unknown_user_changes_nothing_and_is_counted(self, suite: Suite, unique: str) -> None:
        async with (
            suite.counting("gateway-1", "warren_gateway_control_total", command="disconnect", outcome="nobody"),
            suite.counting("gateway-2", "warren_gateway_control_total", command="disconnect", outcome="nobody"),
        ):
            await order(suite.backend_url, "disconnect", user=unique)

    @both_sdks
    async def test_with_a_code_below_3500_the_client_comes_back(
        self, suite: Suite, clients: Clients, unique: str, sdk: str
    ) -> None:
        client = await connected(await clients.make(sdk, 1, unique))
        await order(suite.backend_url, "disconnect", user=unique, code=3011)
        await client.log.until("connected", count=2)
        assert 3011 in [event["code"] for event in client.log.all("connecting")]


class TestUnsubscribe:
    @both_sdks
    async def test_ends_the_subscription_on_both_gateways_and_publications_with_it(
        self, suite: Suite, clients: Clients, unique: str, sdk: str
    ) -> None:
        left, kept = f"chat:{unique}", f"live:{unique}"
        both = [
            await subscribed(await connected(await clients.make(sdk, gateway, unique)), left, kept)
            for gateway in range(2)
        ]
        await order(suite.backend_url, "unsubscribe", user=unique, channel=left)
        for client in both:
            assert (await client.log.one("unsubscribed", left))["code"] == 2000
        async with Backend.connected(suite.backend_url) as backend:
            await backend.publish(left, 1)
            await backend.publish(kept, 2)
        for client in both:
            await client.log.one("publication", kept)
            assert client.log.data(left) == []
            await client.subscribe(left)
            await client.log.until("subscribed", left, count=2)


class TestSubscribe:
    @both_sdks
    async def test_publications_arrive_everywhere_and_presence_knows_them(
        self, suite: Suite, clients: Clients, unique: str, sdk: str
    ) -> None:
        channel = f"chat:{unique}"
        both = [await connected(await clients.make(sdk, gateway, unique)) for gateway in range(2)]
        for _ in range(2):  # the second one does nothing
            counts = await taken(suite, "subscribe")
            await order(suite.backend_url, "subscribe", user=unique, channel=channel)
            await settled(suite, counts, "subscribe")
        for client in both:
            await client.log.until("subscribed", channel)
        async with Backend.connected(suite.backend_url) as backend:
            for number in range(3):
                await backend.publish(channel, number)
        for client in both:
            await client.log.until("publication", channel, count=3)
            assert client.log.data(channel) == [0, 1, 2]
            assert len(client.log.all("subscribed", channel)) == 1

            async def both_are_there(client: SdkClient = client) -> bool:
                return await client.presence_stats(channel) == (2, 1)

            await eventually(both_are_there)

    @both_sdks
    async def test_after_a_reconnect_it_is_recovered_where_the_new_token_names_it(
        self, suite: Suite, clients: Clients, unique: str, sdk: str
    ) -> None:
        channel = f"chat:{unique}"
        # The second token, which the SDK fetches before the first one ends, makes it connect anew.
        tokens = iter([suite.token(unique, ttl=3), *[suite.token(unique, channels=[channel])] * 5])

        async def get_token() -> str:
            return next(tokens)

        client = await connected(await clients.make(sdk, 0, unique, get_token=get_token))
        await order(suite.backend_url, "subscribe", user=unique, channel=channel)
        await client.log.one("subscribed", channel)
        async with Backend.connected(suite.backend_url) as backend:
            number = 0
            while len(client.log.all("subscribed", channel)) < 2:
                await backend.publish(channel, number)
                number += 1
                await client.log.until("publication", channel, count=max(1, number - 20))
            await backend.publish(channel, number)
        got = await client.log.until("publication", channel, count=number + 1)
        assert [event["data"] for event in got] == list(range(number + 1))
        _, again = client.log.all("subscribed", channel)
        assert (again["was_recovering"], again["recovered"]) == (True, True)

    @both_sdks
    async def test_after_a_reconnect_it_is_gone_where_no_token_names_it_and_the_sdk_says_so(
        self, suite: Suite, clients: Clients, unique: str, sdk: str
    ) -> None:
        channel, kept = f"chat:{unique}", f"live:{unique}"
        client = await subscribed(await connected(await clients.make(sdk, 0, unique)), kept)
        await order(suite.backend_url, "subscribe", user=unique, channel=channel)
        await client.log.one("subscribed", channel)
        await order(suite.backend_url, "disconnect", user=unique, code=3011)
        await client.log.until("subscribed", kept, count=2)
        await client.log.one("unsubscribed", channel)
        async with Backend.connected(suite.backend_url) as backend:
            await backend.publish(channel, "not for it")
            await backend.publish(kept, "for it")
        await client.log.one("publication", kept)
        assert client.log.data(channel) == []


class TestRefresh:
    @both_sdks
    async def test_expired_makes_the_client_come_back_with_the_token_it_has(
        self, suite: Suite, clients: Clients, unique: str, sdk: str
    ) -> None:
        given: list[str] = []

        async def get_token() -> str:
            given.append(suite.token(unique))
            return given[-1]

        client = await connected(await clients.make(sdk, 0, unique, get_token=get_token))
        await order(suite.backend_url, "refresh", user=unique, expired=True)
        await client.log.until("connected", count=2)
        assert 3005 in [event["code"] for event in client.log.all("connecting")]
        assert len(given) == 1

    @both_sdks
    async def test_a_new_info_is_shown_of_subscriptions_made_later(
        self, suite: Suite, clients: Clients, unique: str, sdk: str
    ) -> None:
        channel = f"chat:{unique}"
        client = await connected(await clients.make(sdk, 1, unique, info={"name": "old"}))
        counts = await taken(suite, "refresh")
        await order(suite.backend_url, "refresh", user=unique, info={"name": "new"})
        await settled(suite, counts, "refresh")
        await subscribed(client, channel)

        async def is_new() -> bool:
            return [each.conn_info for each in (await client.presence(channel)).values()] == [{"name": "new"}]

        await eventually(is_new)

    async def test_a_new_expiry_is_told_to_the_client(self, suite: Suite, clients: Clients, unique: str) -> None:
        async with clients.raw(0) as raw:
            await raw.connect(suite.token(unique))
            await order(suite.backend_url, "refresh", user=unique, expire_at=2**31)
            refresh = (await raw.message(lambda message: "refresh" in message.get("push", {})))["push"]["refresh"]
        assert refresh["expires"] is True
        assert refresh["ttl"] > 3600


@pytest.mark.parametrize(
    ("key", "body", "reason"),
    [
        ("user.disconnect", b'{"type":"control.disconnect"}', "names neither a user nor a client"),
        ("user.disconnect", b'{"type":"control.disconnect","user":"x","code":1000}', "code"),
        ("user.disconnect", b'{"type":"presence.snapshot_request","sync":"s"}', "not known"),
        ("user.refresh", b'{"type":"control.disconnect","user":"x"}', "another key"),
        ("user.subscribe", b'{"type":"control.subscribe","user":"x","channel":"nowhere:a"}', "unknown channel"),
        ("user.subscribe", b"rubbish", "JSON"),
    ],
)
async def test_an_order_that_cannot_be_used_is_kept_with_its_reason_and_reaches_nobody(
    suite: Suite, clients: Clients, unique: str, key: str, body: bytes, reason: str
) -> None:
    client = await connected(await clients.make("python", 0, "x"))
    await order_bytes(suite.backend_url, key, body, message_id=unique)
    letter = await find_dead_letter(suite.amqp_url, unique)
    assert (letter.body, letter.key, letter.headers["x-warren-service"]) == (body, key, "gateway")
    assert reason in letter.reason
    await still_connected(client)


async def test_after_a_broken_link_every_gateway_takes_orders_again(
    suite: Suite, clients: Clients, unique: str
) -> None:
    both = [await connected(await clients.make("python", gateway, unique)) for gateway in range(2)]
    connects = [await suite.total(name, "warren_broker_connects_total", link="consume") for name in GATEWAYS]
    await suite.stage.run(suite.break_connections("warren-gateway"))

    async def came_back() -> bool:
        now = [await suite.total(name, "warren_broker_connects_total", link="consume") for name in GATEWAYS]
        return all(after > before for before, after in zip(connects, now, strict=True))

    await eventually(came_back, deadline=30)
    await suite.wait_ready(*GATEWAYS)
    await order(suite.backend_url, "disconnect", user=unique)
    for client in both:
        assert (await client.log.one("disconnected"))["code"] == 3503


@pytest.mark.parametrize("key", ["all.presence", "gateway.gateway-1", "user.explode", "user"])
async def test_a_backend_may_order_nothing_else_over_warren_control(suite: Suite, key: str) -> None:
    with pytest.raises(ChannelClosedByBroker) as caught:
        await order_bytes(suite.backend_url, key, b"{}")
    assert caught.value.reply_code == 403


async def test_an_order_is_one_span_at_each_gateway_in_the_trace_of_who_gave_it(
    suite: Suite, clients: Clients, unique: str
) -> None:
    trace = secrets.token_hex(16)
    client = await connected(await clients.make("js", 0, unique))
    await order(suite.backend_url, "disconnect", user=unique, headers={"traceparent": f"00-{trace}-{PARENT}-01"})
    await client.log.one("disconnected")
    await eventually(lambda: len(suite.receiver.of_trace(trace)) == 2)
    spans = suite.receiver.of_trace(trace)
    assert {(span.name, span.service, span.parent) for span in spans} == {
        ("process warren.control", "warren-gateway", PARENT)
    }
    assert sorted(str(span.attributes["warren.connections"]) for span in spans) == ["0", "1"]
