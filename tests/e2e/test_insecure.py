"""A suite for development, whose auth lets everybody in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from clients.party import Clients
from clients.python_sdk import PythonClient
from clients.sdk import connected, subscribed
from staging.broker import RunBroker
from staging.stage import Stage
from staging.suite import Suite, running_suite

from warren_dev.supervisor import Supervisor

pytestmark = [pytest.mark.e2e, pytest.mark.broker]


@pytest.fixture(scope="module")
def suite(
    stage: Stage, run_broker: RunBroker, broker_supervisor: Supervisor | None, run_folder: Path
) -> Iterator[Suite]:
    """A suite of its own."""

    @asynccontextmanager
    async def standing() -> AsyncIterator[Suite]:
        async with running_suite(
            stage, run_broker, broker_supervisor, run_folder / "insecure-suite",
            extra={"OTEL_TRACES_SAMPLER": "always_off"}, own={"auth": {"WARREN_AUTH_INSECURE": "true"}},
        ) as suite:  # fmt: skip
            yield suite

    with stage.hold(standing) as suite:
        yield suite


async def test_without_a_token_everything_that_namespaces_offer_may_be_done(suite: Suite, unique: str) -> None:
    channel = f"closed:{unique}"
    client = PythonClient(suite.gateway_urls[0])
    await subscribed(await connected(client), channel)
    await client.publish(channel, {"n": 1})
    await client.log.one("publication", channel)
    page = await client.history(channel, limit=1)
    assert page.publications == ((1, {"n": 1}),)
    await client.close()


async def test_private_channels_stay_closed_and_a_bad_token_is_refused(
    suite: Suite, clients: Clients, unique: str
) -> None:
    async with clients.raw() as raw:
        await raw.call(connect={})
        assert await raw.error(subscribe={"channel": f"chat:${unique}"}) == 103
    async with clients.raw() as raw:
        await raw.send('{"id":1,"connect":{"token":"rubbish"}}')
        assert (await raw.closed())[0] == 3500
    assert await suite.total("auth", "warren_auth_insecure") == 1
