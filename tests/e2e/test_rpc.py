"""Clients call backends through the whole suite, with the official SDKs."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from typing import Any

import pytest
from aio_pika.abc import AbstractIncomingMessage
from clients.answering import Answering, echo, silence
from clients.party import Clients
from clients.sdk import SdkError, connected
from eventually import eventually
from staging.otlp_receiver import ReceivedSpan
from staging.suite import Suite

pytestmark = [pytest.mark.e2e, pytest.mark.broker]
both_sdks = pytest.mark.parametrize("sdk", ["python", "js", "python protobuf", "js protobuf"])
PARENT = "00f067aa0ba902b7"


async def code_of(call: Any) -> int:
    with pytest.raises(SdkError) as failed:
        await call
    return failed.value.code


@both_sdks
@pytest.mark.parametrize("data", [{"a": [1, 2.5, None]}, "grüße, 世界 🐇", None, 0, ""])
async def test_a_call_is_answered_by_a_backend(
    suite: Suite, clients: Clients, unique: str, sdk: str, data: object
) -> None:
    alice = await connected(await clients.make(sdk, 0, "alice"))
    async with Answering.to(suite.backend_url, f"tools:{unique}", echo):
        assert await alice.rpc(f"tools:{unique}", data) == data


async def test_a_backend_is_told_who_calls_in_headers(suite: Suite, clients: Clients, unique: str) -> None:
    alice = await connected(await clients.make("js", 0, "alice", info={"name": "Älice"}))
    client = (await alice.log.one("connected"))["client"]
    async with Answering.to(suite.backend_url, f"tools:{unique}", echo) as backend:
        await alice.rpc(f"tools:{unique}", {"a": 1})

    (call,) = backend.calls
    assert call.body == b'{"a":1}'
    assert (call.headers["x-warren-user"], call.headers["x-warren-client"]) == ("alice", client)
    assert json.loads(str(call.headers["x-warren-info"])) == {"name": "Älice"}
    assert (call.routing_key, call.expiration) == (f"app.tools:{unique}", 4.0)


@both_sdks
async def test_an_answer_of_a_megabyte_arrives_whole(suite: Suite, clients: Clients, unique: str, sdk: str) -> None:
    text = "é" * 500_000

    async def large(backend: Answering, call: AbstractIncomingMessage) -> None:
        await backend.reply(call, json.dumps(text, ensure_ascii=False).encode())

    alice = await connected(await clients.make(sdk, 0, "alice"))
    async with Answering.to(suite.backend_url, f"tools:{unique}", large):
        assert await alice.rpc(f"tools:{unique}", 1) == text


@both_sdks
async def test_calls_at_the_same_time_get_their_own_answers_in_whatever_order(
    suite: Suite, clients: Clients, unique: str, sdk: str
) -> None:
    held: list[AbstractIncomingMessage] = []

    async def backwards(backend: Answering, call: AbstractIncomingMessage) -> None:
        held.append(call)
        if len(held) == 20:
            for each in reversed(held):
                await backend.reply(each, each.body)

    alice = await connected(await clients.make(sdk, 0, "alice"))
    async with Answering.to(suite.backend_url, f"tools:{unique}", backwards):
        answers = await asyncio.gather(*(alice.rpc(f"tools:{unique}", number) for number in range(20)))
    assert answers == list(range(20))


@both_sdks
async def test_a_backends_own_error_reaches_the_client(suite: Suite, clients: Clients, unique: str, sdk: str) -> None:
    async def refuse(backend: Answering, call: AbstractIncomingMessage) -> None:
        await backend.reply(call, b"", x_warren_error_code=1001, x_warren_error_message="out of stöck")

    alice = await connected(await clients.make(sdk, 0, "alice"))
    async with Answering.to(suite.backend_url, f"tools:{unique}", refuse):
        with pytest.raises(SdkError) as failed:
            await alice.rpc(f"tools:{unique}", {})
    assert (failed.value.code, str(failed.value)) == (1001, "1001 out of stöck")


@both_sdks
async def test_a_method_nobody_answers_to_is_not_found_at_once(clients: Clients, unique: str, sdk: str) -> None:
    alice = await connected(await clients.make(sdk, 0, "alice"))
    began = time.monotonic()
    assert await code_of(alice.rpc(f"tools:{unique}", {})) == 104
    assert time.monotonic() - began < 3.5  # what it takes until a call is given up is 4


@both_sdks
async def test_a_backend_that_does_not_answer_is_an_error_that_passes(
    suite: Suite, clients: Clients, unique: str, sdk: str
) -> None:
    alice = await connected(await clients.make(sdk, 0, "alice"))
    async with (
        suite.counting("gateway-1", "warren_gateway_requests_total", method="rpc", outcome="timeout"),
        Answering.to(suite.backend_url, f"tools:{unique}", silence),
    ):
        assert await code_of(alice.rpc(f"tools:{unique}", {})) == 100
    assert await code_of(alice.rpc("tools:", {})) == 104  # the connection lives


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"{", {}),
        (b'"' + b"x" * 1_048_576 + b'"', {}),
        (b"1", {"x_warren_error_code": 103}),
        (b"1", {"x_warren_error_code": "400"}),
    ],
    ids=["no JSON", "too large", "a code of the protocol's", "a code that is no number"],
)
async def test_an_answer_that_is_none_is_an_error_that_passes_and_is_logged(
    suite: Suite, clients: Clients, unique: str, body: bytes, headers: dict[str, Any]
) -> None:
    async def wrong(backend: Answering, call: AbstractIncomingMessage) -> None:
        await backend.reply(call, body, **headers)

    alice = await connected(await clients.make("python", 0, "alice"))
    async with (
        suite.logging("gateway-1", "service_request_failed", method="rpc", outcome="not_understood"),
        Answering.to(suite.backend_url, f"tools:{unique}", wrong),
    ):
        assert await code_of(alice.rpc(f"tools:{unique}", {})) == 100


async def test_a_backend_that_dies_with_a_call_in_hand_leaves_an_error_and_its_successor_answers(
    suite: Suite, clients: Clients, unique: str
) -> None:
    taken = asyncio.Event()

    async def die(_backend: Answering, _call: AbstractIncomingMessage) -> None:
        taken.set()

    alice = await connected(await clients.make("js", 0, "alice"))
    async with Answering.to(suite.backend_url, f"tools:{unique}", die):
        call = asyncio.create_task(code_of(alice.rpc(f"tools:{unique}", {})))
        await taken.wait()
    assert await code_of(alice.rpc(f"tools:{unique}", {})) == 104
    assert await call == 100
    async with Answering.to(suite.backend_url, f"tools:{unique}", echo):
        assert await alice.rpc(f"tools:{unique}", 7) == 7


@pytest.mark.parametrize("method", ["chat:rename", "nowhere:rename", "rename", "auth.connect", "history.read"])
async def test_methods_of_namespaces_that_offer_none_are_not_available(clients: Clients, method: str) -> None:
    alice = await connected(await clients.make("js", 0, "alice"))
    assert await code_of(alice.rpc(method, {})) == 108


@pytest.mark.parametrize("method", ["tools:*", "tools:#", "tools:a.#.b", "tools:é"])
async def test_a_method_is_no_pattern(suite: Suite, clients: Clients, unique: str, method: str) -> None:
    alice = await connected(await clients.make("js", 0, "alice"))
    async with Answering.to(suite.backend_url, f"tools:{unique}", echo, key="app.#") as backend:
        assert await code_of(alice.rpc(method, {})) == 107
        assert await alice.rpc("tools:a.b", 1) == 1
    assert len(backend.calls) == 1


async def test_an_anonymous_user_may_not_call_where_that_is_not_said(clients: Clients, unique: str) -> None:
    nobody = await connected(await clients.make("js", 0, ""))
    assert await code_of(nobody.rpc(f"tools:{unique}", {})) == 103


async def test_a_call_is_a_trace_that_goes_on_to_the_backend_and_is_linked_to_the_clients_own(
    suite: Suite, clients: Clients, unique: str
) -> None:
    foreign = secrets.token_hex(16)
    headers = {"traceparent": f"00-{foreign}-{PARENT}-01"}
    async with (
        Answering.to(suite.backend_url, f"tools:{unique}", echo) as backend,
        clients.raw(additional_headers=headers) as alice,
    ):
        await alice.connect(suite.token("alice"))
        assert (await alice.call(rpc={"method": f"tools:{unique}", "data": 1}))["rpc"] == {"data": 1}

    def called() -> list[ReceivedSpan]:
        return [span for span in list(suite.receiver.spans) if (foreign, PARENT) in span.links]

    await eventually(lambda: bool(called()), what="a span that is linked to the client's")
    (span,) = called()
    assert (span.name, span.service, span.kind) == ("call warren.rpc", "warren-gateway", "CLIENT")
    assert span.attributes["warren.method"] == f"tools:{unique}"
    assert backend.calls[0].headers["traceparent"] == f"00-{span.trace}-{span.span}-01"
