"""What each method makes of its request."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import aiohttp
import pytest

from warren_api.handlers.methods import AT_ONCE
from warren_shared.contracts.control import DisconnectOrder, RefreshOrder, SubscribeOrder, UnsubscribeOrder
from warren_shared.contracts.history import Page, ReadRequest, StoredPublication
from warren_shared.contracts.presence import Heartbeat, Member, Members

from .api_world import ApiWorld, running_api


async def test_a_payload_is_published_byte_for_byte(world: ApiWorld) -> None:
    payload = '{"b": 1.10,  "a": 123456789012345678901234567890, "a": "\\u00e9"}'
    await world.result("publish", f'{{"channel": "chat:a", "data": {payload}, "tags": {{"k": "v"}}}}')
    (published,) = world.services.published
    assert (published.data, published.channel, published.durable) == (payload.encode(), "chat:a", True)
    assert (dict(published.headers), published.message_id) == ({"tag-k": "v"}, None)


async def test_base64_stands_in_place_of_data_and_is_binary_where_the_namespace_is(world: ApiWorld) -> None:
    await world.result("publish", '{"channel": "raw:a", "b64data": "AP8=", "idempotency_key": "k"}')
    await world.result("publish", '{"channel": "live:a", "data": null, "b64data": "e30="}')
    raw, live = world.services.published
    assert (raw.data, raw.binary, raw.message_id, live.data, live.binary) == (b"\x00\xff", True, "k", b"{}", False)


@pytest.mark.parametrize(
    ("body", "code", "told"),
    [
        ('{"data": 1}', 107, "channel"),
        ('{"channel": "", "data": 1}', 107, "channel"),
        ('{"channel": 5, "data": 1}', 107, "channel"),
        ('{"channel": "chat:a"}', 107, "data is missing"),
        ('{"channel": "chat:\\u00e9", "data": 1}', 107, "ASCII"),
        ('{"channel": "chat:*", "data": 1}', 107, "wildcard"),
        ('{"channel": "none:a", "data": 1}', 102, "unknown channel"),
        ('{"channel": "objects:a", "data": 1}', 107, "no JSON object"),
        ('{"channel": "chat:a", "b64data": "%"}', 107, "base64"),
        ('{"channel": "chat:a", "b64data": "/w=="}', 107, "data"),
        ('{"channel": "chat:a", "data": 1, "skip_history": true}', 108, "skip_history"),
        ('{"channel": "chat:a", "data": 1, "tags": {"a": 1}}', 107, "tags"),
        ('{"channel": "chat:a", "data": 1, "idempotency_key": "' + "\u00e9" * 200 + '"}', 107, "idempotency_key"),
    ],
)
async def test_what_nobody_would_take_is_not_published(world: ApiWorld, body: str, code: int, told: str) -> None:
    found, message = await world.error("publish", body)
    assert found == code
    assert told in message
    assert world.services.published == []


async def test_a_broadcast_answers_for_each_channel(world: ApiWorld) -> None:
    result = await world.result("broadcast", '{"channels": ["chat:a", "none:a", "live:a"], "data": 1}')
    codes = [each.get("error", {}).get("code", 0) for each in result["responses"]]
    assert codes == [0, 102, 0]
    assert [each.channel for each in world.services.published] == ["chat:a", "live:a"]


async def test_of_a_broadcast_few_are_under_way_together(world: ApiWorld) -> None:
    channels = json.dumps([f"live:{number}" for number in range(4 * AT_ONCE)])
    await world.result("broadcast", f'{{"channels": {channels}, "data": 1}}')
    assert 1 < world.services.most_under_way <= AT_ONCE
    assert len(world.services.published) == 4 * AT_ONCE


async def test_requests_about_users_become_orders(world: ApiWorld) -> None:
    await world.result("subscribe", '{"user": "u", "channel": "chat:a", "client": "c", "session": "s"}')
    await world.result("subscribe", '{"user": "u", "channel": "chat:a", "info": {"a": 1}, "b64data": "WzFd"}')
    await world.result("unsubscribe", '{"user": "u", "channel": "chat:a"}')
    await world.result("disconnect", '{"user": "u", "whitelist": ["c"], "disconnect": {"code": 4000, "reason": "r"}}')
    await world.result("disconnect", '{"user": "", "client": "c"}')
    await world.result("refresh", '{"user": "u", "expired": true, "expire_at": 17, "info": {"n": 1}}')
    assert world.services.orders == [
        SubscribeOrder(user="u", client="c", session="s", channel="chat:a"),
        SubscribeOrder(user="u", channel="chat:a", info={"a": 1}, data=[1]),
        UnsubscribeOrder(user="u", channel="chat:a"),
        DisconnectOrder(user="u", whitelist=("c",), code=4000, reason="r"),
        DisconnectOrder(client="c"),
        RefreshOrder(user="u", expired=True, expire_at=17, info={"n": 1}),
    ]


@pytest.mark.parametrize(
    ("method", "body", "code", "told"),
    [
        ("disconnect", "{}", 107, "user"),
        ("disconnect", '{"user": ""}', 107, "neither a user nor a client"),
        ("disconnect", '{"user": "u", "disconnect": {"code": 1000}}', 107, "code"),
        ("disconnect", '{"user": "u", "disconnect": {"code": 4000, "reason": "' + "x" * 200 + '"}}', 107, "reason"),
        ("disconnect", '{"user": "u", "whitelist": ["' + "x" * 70_000 + '"]}', 107, "larger"),
        ("subscribe", '{"user": "u", "channel": "none:a"}', 102, "unknown"),
        ("subscribe", '{"user": "u", "channel": "chat:a", "recover_since": {"offset": 1}}', 108, "recover_since"),
        ("subscribe", '{"user": "u", "channel": "chat:a", "override": {}}', 108, "override"),
        ("subscribe", '{"user": "u", "channel": "chat:a", "b64info": "%"}', 107, "info"),
        ("subscribe", '{"user": "u", "channel": "chat:a", "b64data": "AP8="}', 107, "data"),
        ("subscribe", '{"user": "u", "channel": "chat:a", "data": ' + "[" * 40 + "]" * 40 + "}", 107, "data"),
        ("refresh", '{"user": "u", "info": ' + "9" * 400 + "}", 107, "info"),
        ("refresh", '{"user": "u", "expire_at": -1}', 107, "expire_at"),
        ("nothing", "{}", 104, "method not found"),
        ("channels", "{}", 108, "channels"),
        ("presence", '{"channel": "live:a"}', 108, "not available"),
        ("presence_stats", '{"channel": "none:a"}', 102, "unknown"),
        ("history", '{"channel": "live:a"}', 108, "not available"),
        ("history", '{"channel": "chat:a", "limit": -2}', 107, "limit"),
        ("history_remove", '{"channel": "live:a"}', 108, "not available"),
    ],
)
async def test_what_cannot_be_done_is_named_and_not_done(
    world: ApiWorld, method: str, body: str, code: int, told: str
) -> None:
    found, message = await world.error(method, body)
    assert found == code
    assert told in message
    assert (world.services.orders, world.services.removed) == ([], [])


async def test_null_is_as_good_as_left_out(world: ApiWorld) -> None:
    nulls = '"info": null, "data": null, "recover_since": null, "override": null, "client": null'
    await world.result("subscribe", f'{{"user": "u", "channel": "chat:a", {nulls}}}')
    assert world.services.orders == [SubscribeOrder(user="u", channel="chat:a")]


async def test_presence_shows_infos_as_the_json_they_are(world: ApiWorld) -> None:
    world.services.members = Members(
        members=(Member(client="c", user="u", conn_info='{"n":1}', chan_info="[2]"), Member(client="d"))
    )
    assert await world.result("presence", '{"channel": "chat:a"}') == {
        "presence": {
            "c": {"client": "c", "user": "u", "conn_info": {"n": 1}, "chan_info": [2]},
            "d": {"client": "d", "user": ""},
        }
    }
    assert await world.result("presence_stats", '{"channel": "chat:a"}') == {"num_clients": 2, "num_users": 1}


async def test_history_is_asked_as_the_caller_asks_and_shown_whole(world: ApiWorld) -> None:
    stored = (
        StoredPublication(offset=3, data='{"a":1}', tags={"k": "v"}, info='{"user":"u"}'),
        StoredPublication(offset=4, data="AP8=", binary=True),
    )
    world.services.page = Page(epoch="e", top=4, publications=stored)
    body = '{"channel": "chat:a", "limit": 2, "since": {"offset": 2, "epoch": "e"}, "reverse": true}'
    assert await world.result("history", body) == {
        "publications": [
            {"offset": 3, "data": {"a": 1}, "tags": {"k": "v"}, "info": {"user": "u"}},
            {"offset": 4, "data": None, "b64data": "AP8="},
        ],
        "offset": 4,
        "epoch": "e",
    }
    assert world.services.reads == [ReadRequest(channel="chat:a", limit=2, since_offset=2, reverse=True)]
    assert (await world.error("history", body.replace('"e"', '"f"')))[0] == 112


async def test_history_is_removed(world: ApiWorld) -> None:
    assert await world.result("history_remove", '{"channel": "chat:a"}') == {}
    assert world.services.removed == ["chat:a"]


async def test_info_tells_of_each_gateway(world: ApiWorld) -> None:
    world.services.beats = [
        Heartbeat(
            gateway="g", incarnation="i", started=900.0,
            version="1", clients=3, users=2, channels=5, subscriptions=7,
        )
    ]  # fmt: skip
    assert await world.result("info", "{}") == {
        "nodes": [
            {
                "uid": "g:i", "name": "g", "version": "1", "num_clients": 3, "num_users": 2,
                "num_subs": 7, "num_channels": 5, "uptime": 100,
            }
        ]
    }  # fmt: skip


@pytest.mark.parametrize("parallel", ["true", "false"])
async def test_a_batch_answers_each_command_in_its_place(world: ApiWorld, parallel: str) -> None:
    commands = '[{"publish": {"channel": "none:a", "data": 1}}, {"presence_stats": {"channel": "chat:a"}}, {"no": {}}]'
    status, answer = await world.post("batch", f'{{"commands": {commands}, "parallel": {parallel}}}')
    assert status == 200
    assert [next(iter(each)) for each in answer["replies"]] == ["error", "presence_stats", "error"]
    assert [each["error"]["code"] for each in answer["replies"] if "error" in each] == [102, 104]


async def test_the_commands_of_a_batch_follow_one_another(world: ApiWorld) -> None:
    commands = [{"publish": {"channel": "chat:a", "data": number}} for number in range(100)]
    await world.post("batch", json.dumps({"commands": commands}))
    assert [each.data for each in world.services.published] == [str(number).encode() for number in range(100)]
    assert world.services.most_under_way == 1


async def test_a_service_that_does_not_answer_is_an_internal_error_and_counted(world: ApiWorld) -> None:
    world.services.down = True
    bodies = {"publish": '{"channel": "chat:a", "data": 1}', "disconnect": '{"user": "u"}', "info": "{}"}
    for method, body in bodies.items():
        assert (await world.error(method, body))[0] == 100
        assert world.counts.requests[method, "failed"] == 1


async def test_what_is_in_hand_at_the_end_may_finish() -> None:
    async with aiohttp.ClientSession() as outliving, asyncio.TaskGroup() as tasks, running_api() as world:
        world.services.gate.clear()
        client = replace(world, http=outliving)
        asked = tasks.create_task(client.result("publish", '{"channel": "chat:a", "data": 1}'))
        await asyncio.wait_for(world.services.begun.wait(), 10)
        asyncio.get_running_loop().call_later(0.05, world.services.gate.set)
    assert asked.result() == {}
