"""Durable channels with two history processes on one PostgreSQL: the same promise, whichever of the three dies."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
from clients.backend import Backend
from clients.dead_letters import find_dead_letter
from clients.followed_stream import ONE_EACH, FollowedStream
from clients.party import Clients
from clients.sdk import connected, subscribed
from eventually import eventually
from staging.broker import RunBroker
from staging.stage import Stage
from staging.suite import Suite, running_suite

from warren_dev.postgres import PrivatePostgres, running_postgres
from warren_dev.supervisor import Supervisor
from warren_shared.messaging.port import SUSPECT_AFTER

pytestmark = [pytest.mark.e2e, pytest.mark.broker, pytest.mark.postgres, pytest.mark.timeout(150)]
COUNT = 2_000
BOTH = ("history", "history-2")
ASLEEP = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep')"
WAKE = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"


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


async def begun(suite: Suite, clients: Clients, unique: str) -> FollowedStream:
    return await FollowedStream.begin(clients, suite.backend_url, f"stream:{unique}", COUNT, ONE_EACH)


async def everybody_has_everything(stream: FollowedStream) -> None:
    await stream.everybody_has_everything(deadline=60)
    assert [len(client.log.all("connected")) for client in stream.everybody] == [1, 1]


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
    stream = await begun(suite, clients, unique)
    async with asyncio.TaskGroup() as group:
        group.create_task(stream.run())
        for turn, confirmed in enumerate((300, 700, 1100, 1500)):
            stream.pause_at(confirmed + 200)
            await stream.until(confirmed, deadline=30)
            victim, heir = BOTH[turn % 2], BOTH[1 - turn % 2]
            before = (await stored_by(suite))[heir]
            await suite.kill9(victim)
            stream.pause_at(confirmed + 400)
            await stream.everybody[0].log.until("publication", stream.channel, count=confirmed + 400, deadline=30)
            assert (await stored_by(suite))[heir] > before
            await suite.start(victim)
        stream.go_on()

    await everybody_has_everything(stream)


async def test_a_history_process_that_sleeps_while_its_channels_move_on_doubles_nothing_when_it_wakes(
    suite: Suite, clients: Clients, unique: str
) -> None:
    stream = await begun(suite, clients, unique)
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
                await stream.everybody[0].log.until("publication", stream.channel, count=confirmed + 400, deadline=40)
            finally:
                os.kill(sleeper, signal.SIGCONT)
            await suite.wait_ready(*BOTH)
        stream.go_on()

    await everybody_has_everything(stream)


async def test_publications_wait_while_the_database_is_away_and_arrive_when_it_is_back(
    suite: Suite, clients: Clients, unique: str, postgres: PrivatePostgres
) -> None:
    stream = await begun(suite, clients, unique)
    async with asyncio.TaskGroup() as group:
        group.create_task(stream.run())
        stream.pause_at(1000)
        await stream.until(500, deadline=30)
        await on_stage(suite, postgres.crash)
        stream.go_on()
        await stream.until(COUNT, deadline=30)  # the broker keeps them
        assert len(stream.everybody[0].log.data(stream.channel)) < COUNT

        async def held() -> bool:
            return sum([await suite.total(name, "warren_history_store_failures_total") for name in BOTH]) > 0

        await eventually(held, what="a batch held")
        await on_stage(suite, postgres.start)

    await everybody_has_everything(stream)
    await suite.wait_ready(*BOTH)
    password = urlsplit(postgres.url()).password or ""
    assert not [line for name in BOTH for line in suite.output.lines[name] if password in line]


@asynccontextmanager
async def trigger(postgres: PrivatePostgres, payload: str, body: str) -> AsyncIterator[asyncpg.Connection]:
    """Have the database do something whenever a publication with that payload is stored, while the block runs."""
    connection = await asyncpg.connect(postgres.url())
    await connection.execute(
        f"CREATE FUNCTION met() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body}; RETURN NEW; END $$; "
        "CREATE TRIGGER met BEFORE INSERT ON warren_history.publications "
        f"FOR EACH ROW WHEN (NEW.data = '{payload}'::bytea) EXECUTE FUNCTION met()"
    )
    try:
        yield connection
    finally:
        await connection.execute("DROP FUNCTION met() CASCADE")
        await connection.close()


async def test_a_publication_the_database_refuses_is_kept_with_the_reason_and_those_around_it_arrive(
    suite: Suite, clients: Clients, unique: str, postgres: PrivatePostgres
) -> None:
    channel = f"stream:{unique}"
    alice = await subscribed(await connected(await clients.make("python", 0, "alice")), channel)
    refuse = "RAISE EXCEPTION 'no' USING ERRCODE = 'check_violation'"
    async with trigger(postgres, '"poison"', refuse), Backend.connected(suite.backend_url) as backend:
        await backend.publish_all(channel, [(f"{unique}-1", 1), (unique, "poison"), (f"{unique}-2", 2)])
        letter = await find_dead_letter(suite.amqp_url, unique)
        await alice.log.until("publication", channel, count=2)

    assert (letter.body, letter.headers["x-warren-service"]) == (b'"poison"', "history")
    assert letter.reason == "not_stored: the store fails on it with CheckViolationError"
    assert alice.log.data(channel) == [1, 2]


async def test_a_publication_that_history_dies_of_is_given_up_after_eight_deaths_and_its_partition_flows_on(
    suite: Suite, clients: Clients, unique: str, postgres: PrivatePostgres
) -> None:
    channel, deaths = f"stream:{unique}", 0
    alice = await subscribed(await connected(await clients.make("python", 0, "alice")), channel)
    await suite.stop("history-2")
    async with (
        trigger(postgres, '"deadly"', "PERFORM pg_sleep(60)") as database,
        Backend.connected(suite.backend_url) as backend,
    ):

        async def met() -> bool:
            return given_up() or await database.fetchval(ASLEEP)

        def given_up() -> bool:
            return any(record["message_id"] == unique for record in suite.logs("history", "delivery_dead_lettered"))

        await backend.publish_all(channel, [(f"{unique}-1", 1), (unique, "deadly"), (f"{unique}-2", 2)])
        while True:
            await eventually(met, deadline=30, what="history stores the deadly one, or has given it up")
            if given_up():
                break
            deaths += 1
            await suite.kill9("history")
            await database.execute(WAKE)
            await suite.start("history")
        letter = await find_dead_letter(suite.amqp_url, unique)
        await alice.log.until("publication", channel, count=2)
    await suite.start("history-2")

    assert deaths == SUSPECT_AFTER + 3
    assert letter.reason == "deadly: history died 3 times with nothing else in hand"
    assert alice.log.data(channel) == [1, 2]
