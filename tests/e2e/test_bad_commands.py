"""Clients that break the client protocol: each is told with its code, counted, and disturbs nobody."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from clients.party import Clients
from clients.raw import RawClient
from staging.suite import Suite
from websockets.exceptions import InvalidStatus

pytestmark = [pytest.mark.e2e, pytest.mark.broker, pytest.mark.usefixtures("bystander")]
GATEWAY = "gateway-1"
CLOSES = "warren_gateway_disconnects_total"
ERRORS = "warren_gateway_error_replies_total"


@asynccontextmanager
async def closing(suite: Suite, code: int) -> AsyncIterator[None]:
    """The block has one client closed with a code, which is counted and logged."""
    async with (
        suite.counting(GATEWAY, CLOSES, code=str(code)),
        suite.logging(GATEWAY, "client_disconnected", code=code),
    ):
        yield


@asynccontextmanager
async def admitted(suite: Suite, clients: Clients) -> AsyncIterator[RawClient]:
    async with clients.raw() as client:
        await client.connect(suite.token("mallory"))
        yield client


UNDECODABLE = {
    "no JSON": "hello",
    "cut short": '{"id": 2, "subscribe": {"channel": "live:a"',
    "an array": "[]",
    "a number": "42",
    "an empty frame": "",
    "empty lines": "\n\n",
    "a wrong type": '{"id": "two", "subscribe": {"channel": "live:a"}}',
    "a channel that is no text": '{"id": 2, "subscribe": {"channel": 7}}',
    "no UTF-8": b'{"id": 2, "subscribe": {"channel": "live:\xff"}}',
    "deep nesting": '{"id": 2, "publish": {"channel": "live:a", "data": ' + "[" * 20_000 + "}}",
    "no channel": '{"id": 2, "subscribe": {}}',
    "no id": '{"subscribe": {"channel": "live:a"}}',
    "no request": '{"id": 2}',
}


@pytest.mark.parametrize("frame", UNDECODABLE.values(), ids=UNDECODABLE)
async def test_an_undecodable_frame_ends_the_connection(suite: Suite, clients: Clients, frame: str | bytes) -> None:
    async with closing(suite, 3501), admitted(suite, clients) as client:
        await client.send(frame)

        assert await client.closed() == (3501, "bad request")


async def test_what_stands_before_the_undecodable_part_of_a_frame_is_answered(suite: Suite, clients: Clients) -> None:
    async with closing(suite, 3501), admitted(suite, clients) as client:
        good, unreached = (json.dumps({"id": number, "rpc": {"method": "m"}}) for number in (7, 8))
        await client.send(f"{good}\n???\n{unreached}")

        await client.closed()
        assert [message["id"] for message in client.messages if "id" in message][1:] == [7]


async def test_an_oversize_frame_ends_the_connection_with_1009(suite: Suite, clients: Clients) -> None:
    async with closing(suite, 1009), admitted(suite, clients) as client:
        await client.send(json.dumps({"id": 2, "publish": {"channel": "live:a", "data": "x" * 70_000}}))

        assert (await client.closed())[0] == 1009


async def test_a_frame_just_within_the_limit_is_taken(suite: Suite, clients: Clients) -> None:
    async with admitted(suite, clients) as client:
        command = json.dumps({"id": 2, "rpc": {"method": "m", "data": ""}})
        await client.send(command.replace('""', json.dumps("x" * (65_536 - len(command)))))

        assert (await client.reply(2))["error"]["code"] == 108


async def test_a_second_connect_ends_the_connection(suite: Suite, clients: Clients) -> None:
    async with closing(suite, 3501), admitted(suite, clients) as client:
        await client.send(json.dumps({"id": 2, "connect": {"token": suite.token("mallory")}}))

        assert (await client.closed())[0] == 3501


async def test_a_second_connect_in_the_same_frame_ends_the_connection(suite: Suite, clients: Clients) -> None:
    command = {"connect": {"token": suite.token("mallory")}}
    async with closing(suite, 3501), clients.raw() as client:
        await client.send("\n".join(json.dumps({"id": number, **command}) for number in (1, 2)))

        assert (await client.closed())[0] == 3501


@pytest.mark.parametrize(
    "command",
    [{"id": 1, "subscribe": {"channel": "live:a"}}, {"id": 1, "publish": {"channel": "live:a", "data": 1}}, {}],
    ids=["subscribe", "publish", "pong"],
)
async def test_a_command_before_connect_ends_the_connection(
    suite: Suite, clients: Clients, command: dict[str, object]
) -> None:
    async with closing(suite, 3501), clients.raw() as client:
        await client.send(json.dumps(command))

        assert (await client.closed())[0] == 3501


async def test_after_a_failed_connect_the_rest_of_the_frame_is_discarded(suite: Suite, clients: Clients) -> None:
    async with closing(suite, 3501), clients.raw() as client:
        connect = {"id": 1, "connect": {"token": suite.token("mallory", ttl=-60)}}
        subscribe = {"id": 2, "subscribe": {"channel": "live:a"}}
        await client.send(f"{json.dumps(connect)}\n{json.dumps(subscribe)}")

        assert (await client.closed())[0] == 3501
        assert [(message["id"], message["error"]["code"]) for message in client.messages] == [(1, 109)]


BAD_CHANNELS = {
    "unknown namespace": ("nowhere:a", 102),
    "a star": ("*", 107),
    "a hash sign": ("#", 107),
    "a namespace of one letter and a hash sign": ("a:#", 107),
    "a wildcard word": ("live:*", 107),
    "a wildcard word among others": ("live:a.#.b", 107),
    "non-ASCII": ("live:h\u00e9", 107),
    "a control character": ("live:a\u0000", 107),
    "256 bytes": ("live:" + "x" * 251, 107),
}


@pytest.mark.parametrize(("channel", "code"), BAD_CHANNELS.values(), ids=BAD_CHANNELS)
@pytest.mark.parametrize("method", ["subscribe", "publish", "presence", "history"])
async def test_a_bad_channel_is_answered_with_an_error_and_the_connection_lives_on(
    suite: Suite, clients: Clients, channel: str, code: int, method: str
) -> None:
    arguments = {"channel": channel, **({"data": 1} if method == "publish" else {})}
    async with (
        admitted(suite, clients) as client,
        suite.counting(GATEWAY, ERRORS, code=str(code)),
        suite.logging(GATEWAY, "command_refused", code=code),
    ):
        assert await client.error(**{method: arguments}) == code

        await client.subscribe("live:still-here")


async def test_the_longest_legal_channel_is_subscribed_to(suite: Suite, clients: Clients) -> None:
    async with admitted(suite, clients) as client:
        await client.subscribe("live:" + "x" * 250)


async def test_a_channel_the_user_may_not_subscribe_to_is_refused(suite: Suite, clients: Clients) -> None:
    async with admitted(suite, clients) as client, suite.counting(GATEWAY, ERRORS, code="103", by=2):
        assert await client.error(subscribe={"channel": "closed:a"}) == 103
        assert await client.error(subscribe={"channel": "live:$private"}) == 103


async def test_publishing_and_asking_without_a_subscription_is_refused(suite: Suite, clients: Clients) -> None:
    async with admitted(suite, clients) as client:
        assert await client.error(publish={"channel": "chat:x", "data": 1}) == 103
        assert await client.error(presence={"channel": "chat:x"}) == 103
        assert await client.error(history={"channel": "chat:x"}) == 103


async def test_a_second_subscribe_to_a_channel_is_answered_105(suite: Suite, clients: Clients) -> None:
    async with admitted(suite, clients) as client:
        await client.subscribe("live:twice")

        assert await client.error(subscribe={"channel": "live:twice"}) == 105


async def test_more_channels_than_allowed_are_answered_106(suite: Suite, clients: Clients) -> None:
    async with admitted(suite, clients) as client:
        for number in range(16):
            await client.subscribe(f"live:many-{number}")

        assert await client.error(subscribe={"channel": "live:many-16"}) == 106


async def test_data_that_is_no_json_object_is_refused_where_objects_are_asked_for(
    suite: Suite, clients: Clients
) -> None:
    async with admitted(suite, clients) as client:
        await client.subscribe("objects:a")

        assert await client.error(publish={"channel": "objects:a", "data": [1]}) == 107


async def test_a_send_ends_the_connection_because_nobody_takes_it(suite: Suite, clients: Clients) -> None:
    async with closing(suite, 3508), admitted(suite, clients) as client:
        await client.send('{"send": {"data": {}}}')

        assert (await client.closed())[0] == 3508


async def test_commands_of_one_frame_are_handled_in_order(suite: Suite, clients: Clients) -> None:
    channel = "chat:batch"
    commands = [
        {"id": 1, "connect": {"token": suite.token("mallory")}},
        {"id": 2, "subscribe": {"channel": channel}},
        {"id": 3, "publish": {"channel": channel, "data": 1}},
        {"id": 4, "publish": {"channel": channel, "data": 2}},
        {"id": 5, "unsubscribe": {"channel": channel}},
        {"id": 6, "publish": {"channel": channel, "data": 3}},
    ]
    async with admitted(suite, clients) as witness, clients.raw() as client:
        await witness.subscribe(channel)
        await client.send("\n".join(map(json.dumps, commands)) + "\n")
        replies = {number: await client.reply(number) for number in range(1, 7)}

        assert list(replies[1]) == ["id", "connect"]
        assert replies[3] == {"id": 3, "publish": {}}
        assert replies[4] == {"id": 4, "publish": {}}
        assert replies[5] == {"id": 5, "unsubscribe": {}}
        assert replies[6]["error"]["code"] == 103
        assert await witness.publications(channel, 2) == [1, 2]


async def test_a_page_of_a_foreign_origin_is_refused_before_a_connection_exists(suite: Suite, clients: Clients) -> None:
    async with (
        suite.counting(GATEWAY, "warren_gateway_connections_refused_total", reason="origin"),
        suite.logging(GATEWAY, "connection_refused", reason="origin"),
    ):
        with pytest.raises(InvalidStatus) as caught:
            async with clients.raw(origin="https://evil.example"):
                pass

    assert caught.value.response.status_code == 403


async def test_a_page_of_the_gateways_own_host_is_let_in(suite: Suite, clients: Clients) -> None:
    own = suite.gateway_urls[0].replace("ws://", "http://").removesuffix("/connection/websocket")
    async with clients.raw(origin=own) as client:
        await client.connect(suite.token("mallory"))


async def test_who_does_not_connect_in_time_is_closed_as_stale(suite: Suite, clients: Clients) -> None:
    async with closing(suite, 3502), clients.raw() as client:
        assert (await client.closed())[0] == 3502


async def test_who_does_not_answer_pings_is_closed_and_who_does_is_kept(suite: Suite, clients: Clients) -> None:
    async with (
        suite.counting(GATEWAY, CLOSES, code="3012"),
        clients.raw(pongs=False) as silent,
        clients.raw() as lively,
    ):
        for client in (silent, lively):
            result = await client.connect(suite.token("mallory"))
            assert (result["ping"], result["pong"]) == (4, True)

        assert (await silent.closed())[0] == 3012
        await lively.subscribe("live:a")
        assert lively.pings


async def test_a_pong_nobody_asked_for_ends_the_connection(suite: Suite, clients: Clients) -> None:
    async with closing(suite, 3501), admitted(suite, clients) as client:
        await client.send("{}")

        assert (await client.closed())[0] == 3501


async def test_health_is_told_on_the_clients_port(suite: Suite) -> None:
    url = suite.gateway_urls[0].replace("ws://", "http://").removesuffix("/connection/websocket")
    async with aiohttp.ClientSession() as session, session.get(f"{url}/health") as response:
        assert response.status == 200
