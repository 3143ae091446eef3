"""Durable channels with two history processes on one PostgreSQL: the same promise, whichever of the three dies."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from clients.backend import Stream
from clients.party import Clients
from clients.sdk import SdkClient, connected, subscribed
from eventually import eventually
from staging.broker import RunBroker
from staging.stage import Stage
from staging.suite import Suite, running_suite

from warren_dev.postgres import PrivatePostgres, running_postgres
from warren_dev.supervisor import Supervisor

pytestmark = [pytest.mark.e2e, pytest.mark.broker, pytest.mark.postgres, pytest.mark.timeout(150)]
COUNT = 2_000
BOTH = ("history", "history-2")


@pytest.fixture(scope="module")
def postgres() -> Iterator[PrivatePostgres]:
    with running_postgres(print) as server:
        yield server


@pytest.fixture(scope="module")
def suite(
    stage: Stage,
    run_broker: RunBroker,
    broker_supervisor: Supervisor | None,
    run_folder: Path,
    postgres: PrivatePostgres,
) -> Iterator[Suite]:
    """A suite of its own, with two history processes that share a database."""
    extra = {"WARREN_HISTORY_STORE_URL": postgres.url()}
    folder = run_folder / "suite-on-postgresql"
    with stage.hold(
        lambda: running_suite(stage, run_broker, broker_supervisor, folder, extra=extra, more=BOTH[1:])
    ) as suite:
        yield suite


async def subscribers(clients: Clients, channel: str) -> list[SdkClient]:
    return [
        await subscribed(await connected(await clients.make(sdk, gateway, f"{sdk}-{gateway}")), channel)
        for gateway, sdk in enumerate(("python", "js"))
    ]


async def everybody_has_everything(everybody: list[SdkClient], channel: str) -> None:
    for client in everybody:
        await client.log.until("publication", channel, count=COUNT, deadline=60)
        assert client.log.data(channel) == list(range(COUNT))
        offsets = [event["offset"] for event in client.log.all("publication", channel)]
        assert offsets == list(range(1, COUNT + 1))
        assert len(client.log.all("connected")) == 1


async def on_stage(suite: Suite, work: Callable[[], None]) -> None:
    """Do what blocks in the stage's thread, which lives as long as the server: clients must answer pings."""

    async def working() -> None:
        work()

    await suite.stage.run(working())


async def stored_by(suite: Suite) -> dict[str, float]:
    return {name: await suite.total(name, "warren_history_appended_total") for name in BOTH if suite.is_running(name)}


async def test_history_processes_take_over_from_one_another_and_nothing_is_lost_or_doubled(
    suite: Suite, clients: Clients, unique: str
) -> None:
    channel = f"stream:{unique}"
    everybody = await subscribers(clients, channel)
    stream = Stream(suite.backend_url, channel, COUNT)
    async with asyncio.TaskGroup() as group:
        group.create_task(stream.run())
        for turn, confirmed in enumerate((300, 700, 1100, 1500)):
            stream.pause_at(confirmed + 200)
            await stream.until(confirmed, deadline=30)
            victim, heir = BOTH[turn % 2], BOTH[1 - turn % 2]
            before = (await stored_by(suite))[heir]
            await suite.kill9(victim)
            stream.pause_at(confirmed + 400)
            await everybody[0].log.until("publication", channel, count=confirmed + 400, deadline=30)
            assert (await stored_by(suite))[heir] > before
            await suite.start(victim)
        stream.go_on()

    await everybody_has_everything(everybody, channel)


async def test_a_history_process_that_sleeps_while_its_channels_move_on_doubles_nothing_when_it_wakes(
    suite: Suite, clients: Clients, unique: str
) -> None:
    channel = f"stream:{unique}"
    everybody = await subscribers(clients, channel)
    stream = Stream(suite.backend_url, channel, COUNT)
    async with asyncio.TaskGroup() as group:
        group.create_task(stream.run())
        for turn, confirmed in enumerate((300, 700, 1100, 1500)):
            stream.pause_at(confirmed + 400)
            await stream.until(confirmed, deadline=30)
            sleeper = suite.pid(BOTH[turn % 2])
            os.kill(sleeper, signal.SIGSTOP)
            try:
                # The broker takes its channels away, as it does by itself after two heartbeats.
                await suite.stage.run(suite.break_connections("warren-history"))
                await everybody[0].log.until("publication", channel, count=confirmed + 400, deadline=40)
            finally:
                os.kill(sleeper, signal.SIGCONT)
            await suite.wait_ready(*BOTH)
        stream.go_on()

    await everybody_has_everything(everybody, channel)


async def test_publications_wait_while_the_database_is_away_and_arrive_when_it_is_back(
    suite: Suite, clients: Clients, unique: str, postgres: PrivatePostgres
) -> None:
    channel = f"stream:{unique}"
    everybody = await subscribers(clients, channel)
    stream = Stream(suite.backend_url, channel, COUNT)
    async with asyncio.TaskGroup() as group:
        group.create_task(stream.run())
        stream.pause_at(1000)
        await stream.until(500, deadline=30)
        await on_stage(suite, postgres.crash)
        stream.go_on()
        await stream.until(COUNT, deadline=30)  # the broker keeps them
        assert len(everybody[0].log.data(channel)) < COUNT

        async def held() -> bool:
            return sum([await suite.total(name, "warren_history_store_failures_total") for name in BOTH]) > 0

        await eventually(held, what="a batch held")
        await on_stage(suite, postgres.start)

    await everybody_has_everything(everybody, channel)
    await suite.wait_ready(*BOTH)
    password = urlsplit(postgres.url()).password or ""
    assert not [line for name in BOTH for line in suite.output.lines[name] if password in line]
