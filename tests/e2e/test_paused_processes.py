"""A process that stands still for twenty seconds and then goes on, as after a swap storm or on a moved machine.

Nothing is lost or doubled, who has nothing to do with it keeps its socket, and nobody has to help.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Final

import pytest
from clients.followed_stream import FollowedStream
from clients.party import Clients
from clients.sdk import SdkClient, connected, subscribed
from staging.programs import SERVICES
from staging.suite import Suite

pytestmark = [pytest.mark.e2e, pytest.mark.broker, pytest.mark.timeout(150)]
COUNT: Final = 2_000
PAUSE_SECONDS: Final = 20.0
BACK_SECONDS: Final = 30.0
"""How soon after it goes on everything has to be as before: two reconnects of the slowest party, and load."""
PROMPT_SECONDS: Final = 5.0
"""How late a publication may be for those whom the pause does not concern."""
FOLLOWED: Final = (("python", 0), ("js", 0), ("python", 1), ("js", 1))


@asynccontextmanager
async def paused(suite: Suite, name: str) -> AsyncIterator[None]:
    """Have a process and its children stand still during the block, and for twenty seconds at least."""
    pid, loop = suite.pid(name), asyncio.get_running_loop()
    os.killpg(pid, signal.SIGSTOP)
    until = loop.time() + PAUSE_SECONDS
    try:
        yield
        await asyncio.sleep(until - loop.time())  # the pause itself: there is nothing to wait for but its length
    finally:
        os.killpg(pid, signal.SIGCONT)
    assert suite.pid(name) == pid


async def flows(publisher: SdkClient, followers: Iterable[SdkClient], channel: str, data: str) -> None:
    """Hold what is published on a channel to arriving promptly."""
    async with asyncio.timeout(PROMPT_SECONDS):
        await publisher.publish(channel, data)
        for client in followers:
            await client.log.one("publication", channel, matches=lambda event: event["data"] == data)


def connects(client: SdkClient) -> int:
    return len(client.log.all("connected"))


async def everybody_goes_on(suite: Suite, stream: FollowedStream) -> None:
    """Hold the suite to being whole again, and the stream's rest to arriving, soon and without help."""
    async with asyncio.timeout(BACK_SECONDS):
        await suite.wait_ready(*SERVICES)
        stream.go_on()
        await stream.everybody_has_everything(deadline=BACK_SECONDS)


async def test_a_gateway_that_stood_still_for_twenty_seconds_serves_its_clients_who_missed_nothing(
    suite: Suite, clients: Clients, unique: str
) -> None:
    stream = await FollowedStream.begin(clients, suite.backend_url, f"stream:{unique}", COUNT, FOLLOWED)
    waiting, untouched = stream.everybody[:2], stream.everybody[2:]
    await asyncio.gather(*(subscribed(client, f"live:{unique}") for client in stream.everybody))
    async with asyncio.TaskGroup() as group:
        group.create_task(stream.run())
        stream.pause_at(1_500)
        await stream.until(300, deadline=30)
        async with paused(suite, "gateway-1"):
            await stream.until(1_500, deadline=PAUSE_SECONDS)
            for client in untouched:
                await client.log.until("publication", stream.channel, count=1_500)
            await flows(untouched[0], untouched, f"live:{unique}", "meanwhile")
        await everybody_goes_on(suite, stream)

    async with asyncio.timeout(BACK_SECONDS):
        for client in waiting:  # at the latest with the reconnect that its SDK chose
            await client.log.one("publication", stream.channel, matches=lambda event: event["data"] == COUNT - 1)
            await flows(client, stream.everybody, f"live:{unique}", f"again-{waiting.index(client)}")
    assert [connects(client) for client in untouched] == [1, 1]
    assert all(connects(client) <= 2 for client in waiting)
    for client in waiting:
        first, *again = client.log.all("subscribed", stream.channel)
        assert {event["recovered"] for event in again} <= {True}
        assert {event["epoch"] for event in again} <= {first["epoch"]}


async def test_a_socket_of_a_gateway_that_stood_still_is_open_and_current_or_closed_with_a_code_to_come_again(
    suite: Suite, clients: Clients, unique: str
) -> None:
    channel = f"chat:{unique}"
    witness = await subscribed(await connected(await clients.make("python", 1, "witness")), channel)
    async with clients.raw() as bare:
        await bare.call(connect={"token": suite.token("bare")})
        await bare.call(subscribe={"channel": channel})
        async with paused(suite, "gateway-1"):
            await witness.publish(channel, "missed")
            await witness.log.until("publication", channel)
        await suite.wait_ready("gateway-1")
        await witness.publish(channel, "afterwards")
        try:
            got = await bare.publications(channel, 2, deadline=BACK_SECONDS)
        except AssertionError:
            code, _ = await bare.closed()
            assert 3000 <= code < 3500
        else:
            assert got == ["missed", "afterwards"]


async def test_history_that_stood_still_for_twenty_seconds_numbers_what_waited_and_nobody_else_notices(
    suite: Suite, clients: Clients, unique: str
) -> None:
    stream = await FollowedStream.begin(clients, suite.backend_url, f"stream:{unique}", COUNT)
    live, everybody = f"live:{unique}", stream.everybody
    await asyncio.gather(*(subscribed(client, live) for client in everybody))
    async with asyncio.TaskGroup() as group:
        group.create_task(stream.run())
        stream.pause_at(1_500)
        await stream.until(300, deadline=30)
        async with paused(suite, "history"):
            await stream.until(1_500, deadline=PAUSE_SECONDS)  # the broker takes what history does not
            for number in range(10):
                await flows(everybody[number % 4], everybody, live, f"meanwhile-{number}")
            assert all(len(client.log.data(stream.channel)) < 1_500 for client in everybody)
        await everybody_goes_on(suite, stream)

    assert [connects(client) for client in everybody] == [1, 1, 1, 1]


async def test_a_broker_that_stood_still_for_twenty_seconds_loses_nothing_and_sockets_stay_open(
    suite: Suite, clients: Clients, unique: str
) -> None:
    if not suite.broker.private:
        pytest.skip("the broker of this run is somebody else's: it is not to be stopped")
    stream = await FollowedStream.begin(clients, suite.backend_url, f"stream:{unique}", COUNT)
    async with asyncio.TaskGroup() as group:
        group.create_task(stream.run())
        stream.pause_at(1_500)
        await stream.until(300, deadline=30)
        async with paused(suite, "rabbitmq"):
            pass
        await stream.until(1_500, deadline=BACK_SECONDS)
        await everybody_goes_on(suite, stream)

    assert [connects(client) for client in stream.everybody] == [1, 1, 1, 1]
