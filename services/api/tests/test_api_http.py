"""The API's HTTP side: keys, limits, and what is refused before a method sees it."""

from __future__ import annotations

import asyncio
import json

import pytest
from eventually import eventually
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from warren_api.adapters.openapi import document
from warren_api.domain.api_keys import ApiKeys, given_key
from warren_api.domain.rejection import RejectionError
from warren_api.domain.requests import PublishRequest, read_request

from .api_world import KEY, OLD_KEY, ApiWorld, running_api

PUBLISH = '{"channel": "chat:a", "data": 1}'


@pytest.mark.parametrize("key", ["", "another", KEY + "x", KEY[:-1], "\u00e9"])
async def test_without_a_key_nothing_is_carried_out(world: ApiWorld, key: str) -> None:
    status, answer = await world.post("publish", PUBLISH, X_API_Key=key)
    assert (status, answer["error"]["code"]) == (401, 401)
    assert world.services.published == []
    assert world.counts.refused["key"] == 1


async def test_any_of_the_keys_will_do_in_either_header(world: ApiWorld) -> None:
    assert (await world.post("publish", PUBLISH, X_API_Key=OLD_KEY))[0] == 200
    assert (await world.post("publish", PUBLISH, X_API_Key="", Authorization=f"apikey {KEY}"))[0] == 200


@pytest.mark.parametrize("body", ["[]", "{", "1", "null", '{"a":', '"x"', '{"a": 1} x', "[" * 100_000])
@pytest.mark.parametrize("method", ["publish", "batch", "nothing"])
async def test_what_is_no_json_object_is_a_bad_http_request(world: ApiWorld, method: str, body: str) -> None:
    status, _ = await world.post(method, body)
    assert status == 400


@pytest.mark.parametrize(
    "body", ['{"commands": [{}]}', '{"commands": [{"info": {}, "publish": {}}]}', '{"commands": 1}', "{}"]
)
async def test_a_batch_that_cannot_be_read_carries_nothing_out(world: ApiWorld, body: str) -> None:
    assert (await world.post("batch", body))[0] == 400


async def test_a_request_that_is_too_large_is_refused() -> None:
    async with running_api(body_limit=2000) as world:
        status, _ = await world.post("publish", json.dumps({"channel": "chat:a", "data": "x" * 3000}))
        assert (status, world.counts.refused["too_large"]) == (413, 1)


async def test_more_requests_than_may_be_in_hand_are_sent_away_and_the_others_answered() -> None:
    async with running_api(concurrency=2) as world:
        world.services.gate.clear()
        async with asyncio.TaskGroup() as tasks:
            first = [tasks.create_task(world.post("publish", PUBLISH)) for _ in range(2)]
            await eventually(lambda: world.services.under_way == 2, what="two requests in hand")
            assert (await world.post("publish", PUBLISH))[0] == 503
            world.services.gate.set()
        assert [task.result()[0] for task in first] == [200, 200]
        assert (await world.post("publish", PUBLISH))[0] == 200


async def test_the_document_is_for_everybody_and_names_every_method(world: ApiWorld) -> None:
    async with world.http.get(f"{world.url}/openapi.json") as answer:
        served = await answer.json()
    assert served == json.loads(json.dumps(document()))
    methods = {path.removeprefix("/api/") for path in served["paths"]}
    answers = {name: (await world.post(name, "{}"))[1] for name in methods - {"batch"}}
    assert all(answer.get("error", {}).get("code") != 104 for answer in answers.values())


@pytest.mark.parametrize(("method", "path"), [("GET", "/api/info"), ("PUT", "/api/publish"), ("POST", "/api")])
async def test_other_ways_lead_nowhere(world: ApiWorld, method: str, path: str) -> None:
    async with world.http.request(method, world.url + path, headers={"X-API-Key": KEY}) as answer:
        assert answer.status in (404, 405)


@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
@settings(max_examples=500)
def test_whatever_comes_is_read_or_refused(body: bytes) -> None:
    try:
        read_request(body, PublishRequest)
    except RejectionError as rejection:
        assert rejection.code == 107


@given(st.text(max_size=40), st.lists(st.text(min_size=1, max_size=40), max_size=3))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_a_key_is_accepted_if_and_only_if_it_is_one_of_them(key: str, keys: list[str]) -> None:
    encodable = [each for each in keys if each.isprintable()]
    assert ApiKeys(encodable).accept(key) == (key in encodable)


@pytest.mark.parametrize(
    ("x_api_key", "authorization", "found"),
    [
        ("k", "apikey other", "k"),
        (None, "apikey k", "k"),
        (None, "ApiKey  k", "k"),
        (None, "Bearer k", ""),
        (None, None, ""),
    ],
)
def test_where_the_key_is_found(x_api_key: str | None, authorization: str | None, found: str) -> None:
    assert given_key(x_api_key, authorization) == found
