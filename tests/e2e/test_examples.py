"""The examples, run as their readers would."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from clients.party import Clients
from clients.sdk import SdkError, connected, subscribed
from eventually import eventually
from staging.suite import Suite

pytestmark = [pytest.mark.e2e, pytest.mark.broker]
EXAMPLES = Path(__file__).parents[2] / "examples"
ANSWERING = {"python": (sys.executable, "python/answer.py"), "node": ("node", "node/answer.js")}
PROGRAMS = {"python": (sys.executable, "python/publish.py"), "node": ("node", "node/publish.js")}


async def run(suite: Suite, node_modules: Path, language: str, *arguments: str, **environment: str) -> tuple[int, str]:
    """Run an example as the broker user ``backend``; return its exit code and what it wrote."""
    program, file = PROGRAMS[language]
    process = await asyncio.create_subprocess_exec(
        program,
        str(EXAMPLES / file),
        *arguments,
        env={**os.environ, "AMQP_URL": suite.backend_url, "NODE_PATH": str(node_modules), **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(20):
        output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


@asynccontextmanager
async def answering(suite: Suite, node_modules: Path, language: str, method: str) -> AsyncIterator[None]:
    """Run an example that answers calls as the broker user ``backend`` while the block runs."""
    program, file = ANSWERING[language]
    process = await asyncio.create_subprocess_exec(
        program,
        str(EXAMPLES / file),
        method,
        env={**os.environ, "AMQP_URL": suite.backend_url, "NODE_PATH": str(node_modules)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(20):
            assert (await process.stdout.readline()).decode() == f"answering {method}\n"
        yield
    finally:
        process.kill()
        await process.communicate()


@pytest.mark.parametrize("sdk", ["python", "js"])
@pytest.mark.parametrize("language", ANSWERING)
async def test_an_example_answers_a_clients_calls_and_says_what_is_wrong_with_them(
    suite: Suite, clients: Clients, node_modules: Path, unique: str, language: str, sdk: str
) -> None:
    method = f"tools:{unique}.{language}"
    alice = await connected(await clients.make(sdk, 1, "alice"))
    async with answering(suite, node_modules, language, method):
        assert await alice.rpc(method, {"text": "grüße"}) == {"text": "GRÜSSE", "user": "alice"}
        with pytest.raises(SdkError) as failed:
            await alice.rpc(method, {"no": "text"})

    assert (failed.value.code, str(failed.value)) == (400, "400 no text")


@pytest.mark.parametrize("language", PROGRAMS)
async def test_what_an_example_publishes_reaches_live_and_durable_subscribers_on_both_gateways(
    suite: Suite, clients: Clients, node_modules: Path, unique: str, language: str
) -> None:
    channels = [f"live:{unique}.words", f"chat:{unique}", f"{unique}-plain"]
    alice = await subscribed(await connected(await clients.make("python", 0, "alice")), *channels)
    bob = await subscribed(await connected(await clients.make("js", 1, "bob")), *channels)

    for channel in channels:
        code, output = await run(suite, node_modules, language, channel, '{"text": "hello"}')
        assert (code, output.startswith(f"published to {channel}")) == (0, True), output

    for client in (alice, bob):
        for channel in channels:
            assert (await client.log.one("publication", channel))["data"] == {"text": "hello"}


@pytest.mark.parametrize("language", PROGRAMS)
async def test_an_example_run_twice_with_one_message_id_is_delivered_once(
    suite: Suite, clients: Clients, node_modules: Path, unique: str, language: str
) -> None:
    channel = f"chat:{unique}"
    alice = await subscribed(await connected(await clients.make("python", 0, "alice")), channel)

    for text, message_id in (("once", "a"), ("once", "a"), ("last", "b")):
        await run(suite, node_modules, language, channel, f'"{text}"', MESSAGE_ID=f"{unique}-{message_id}")

    await alice.log.until("publication", channel, count=2)
    assert alice.log.data(channel) == ["once", "last"]


@pytest.mark.parametrize("language", PROGRAMS)
async def test_the_trace_of_an_example_goes_on_to_the_gateways(
    suite: Suite, clients: Clients, node_modules: Path, unique: str, language: str
) -> None:
    channel = f"chat:{unique}"
    await subscribed(await connected(await clients.make("python", 0, "alice")), channel)
    trace = secrets.token_hex(16)

    await run(suite, node_modules, language, channel, "1", TRACEPARENT=f"00-{trace}-00f067aa0ba902b7-01")

    def delivered() -> bool:
        return any(span.service == "warren-gateway" for span in suite.receiver.of_trace(trace))

    await eventually(delivered, what=f"a gateway's span in trace {trace}")


@pytest.mark.parametrize("language", PROGRAMS)
async def test_an_example_that_may_not_publish_says_so_and_fails(
    suite: Suite, node_modules: Path, language: str
) -> None:
    auth = suite.login("warren-auth").secret()  # who may publish nothing

    code, output = await run(suite, node_modules, language, "chat:a", "1", AMQP_URL=auth)

    assert code != 0
    assert "ACCESS" in output.upper()
