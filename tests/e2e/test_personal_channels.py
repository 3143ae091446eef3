"""A suite whose users have channels of their own, and whose channels' names must match an expression."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from clients.backend import Backend
from clients.party import Clients
from clients.sdk import SdkError, connected, subscribed
from staging.broker import RunBroker
from staging.stage import Stage
from staging.suite import Suite, running_suite

from warren_dev.supervisor import Supervisor

pytestmark = [pytest.mark.e2e, pytest.mark.broker]
all_sdks = pytest.mark.parametrize("sdk", ["python", "js", "python protobuf", "js protobuf"])

NAMESPACES = """
namespaces:
  - name: inbox
    history_size: 10
    history_ttl: 10m
    force_recovery: true
    personal_channel: true
    bind_namespace: true
  - name: rooms
    channel_regex: ^[a-z]+-[0-9]+$
    allow_subscribe_for_client: true
    allow_publish_for_client: true
"""


@pytest.fixture(scope="module")
def suite(
    stage: Stage, run_broker: RunBroker, broker_supervisor: Supervisor | None, run_folder: Path
) -> Iterator[Suite]:
    """A suite of its own."""

    @asynccontextmanager
    async def standing() -> AsyncIterator[Suite]:
        async with running_suite(
            stage, run_broker, broker_supervisor, run_folder / "personal-suite",
            extra={"OTEL_TRACES_SAMPLER": "always_off"}, namespaces=NAMESPACES,
        ) as suite:  # fmt: skip
            yield suite

    with stage.hold(standing) as suite:
        yield suite


@all_sdks
async def test_every_connection_of_a_user_has_the_users_own_channel_and_recovers_it(
    suite: Suite, clients: Clients, unique: str, sdk: str
) -> None:
    mine = [await connected(await clients.make(sdk, gateway, unique)) for gateway in (0, 1)]
    other = await connected(await clients.make(sdk, 0, f"{unique}-other"))
    channel = f"inbox:#{unique}"
    async with Backend.connected(suite.backend_url) as backend:
        for client in mine:
            await client.log.one("subscribed", channel)
        await backend.publish(channel, {"n": 1})
        for client in mine:
            await client.log.one("publication", channel)
        await mine[0].disconnect()
        await backend.publish(channel, {"n": 2})
        await mine[1].log.until("publication", channel, count=2)
        await mine[0].connect()
        await mine[0].log.until("publication", channel, count=2)
    assert [client.log.data(channel) for client in (*mine, other)] == [[{"n": 1}, {"n": 2}]] * 2 + [[]]
    await other.subscribe(channel)
    assert (await other.log.one("unsubscribed", channel))["code"] == 103


async def test_a_channel_whose_name_the_expression_does_not_match_is_refused(clients: Clients, unique: str) -> None:
    client = await connected(await clients.make("js", 0, unique))
    right, wrong = f"rooms:a-{unique[1:]}", f"rooms:{unique}-a"
    await subscribed(client, right)
    await client.publish(right, 1)
    await client.log.one("publication", right)
    await client.subscribe(wrong)
    assert (await client.log.one("unsubscribed", wrong))["code"] == 107
    with pytest.raises(SdkError) as caught:
        await client.publish(wrong, 1)
    assert caught.value.code == 107
