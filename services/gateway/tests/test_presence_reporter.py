"""Reporting to presence over the bus."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from warren_gateway.bus_options import BusSideOptions
from warren_gateway.handlers.presence import PresenceReporter
from warren_gateway.identity import GatewayIdentity
from warren_shared.contracts.envelope import Message, decode_one_of
from warren_shared.contracts.presence import (
    HEARTBEAT_SECONDS,
    Heartbeat,
    Joined,
    Left,
    Member,
    Snapshot,
    Stopped,
    Synced,
)
from warren_shared.messaging.port import Outgoing

from .bus_fakes import FakePublisher
from .bus_world import settle

ME = GatewayIdentity("gw", "run1", 5.0)
RUN = {"gateway": "gw", "incarnation": "run1", "started": 5.0}


class Pauses:
    """Sleeping, until the test says so."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self._sleepers: list[asyncio.Future[None]] = []

    async def sleep(self, seconds: float) -> None:
        self.asked.append(seconds)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append(future)
        await future

    async def pass_all(self) -> None:
        sleepers, self._sleepers = self._sleepers, []
        for future in sleepers:
            future.set_result(None)
        await settle()


class Rig:
    def __init__(self, **options: float) -> None:
        self.publisher, self.pauses = FakePublisher(), Pauses()
        values = {"presence_batch": 3, "drain_deadline": 0.05, **options}
        self.reporter = PresenceReporter(
            self.publisher,
            ME,
            BusSideOptions(**values),  # type: ignore[arg-type]  # a test names only numbers
            sleep=self.pauses.sleep,
        )

    def join(self, channel: str, client: str) -> None:
        self.reporter.joined(channel, Member(client=client), announce=True)

    @property
    def reports(self) -> list[Message]:
        return [decoded(message) for message in self.publisher.confirmed]

    @property
    def beats(self) -> list[Message]:
        return [decoded(message) for message in self.publisher.sent]


def decoded(message: Outgoing) -> Message:
    return decode_one_of(message.body, Joined, Left, Snapshot, Synced, Heartbeat, Stopped)


@asynccontextmanager
async def running(**options: float) -> AsyncIterator[Rig]:
    rig = Rig(**options)
    task = asyncio.create_task(rig.reporter.run())
    await settle()
    try:
        yield rig
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_joins_and_leaves_are_published_in_order_to_the_channels_partition() -> None:
    async with running() as rig:
        rig.join("chat:a", "1")
        rig.join("b", "2")
        rig.reporter.left("chat:a", "1", announce=True)
        await settle()
        member = Member(client="1")
        assert rig.reports == [
            Joined(**RUN, channel="chat:a", member=member, announce=True),
            Joined(**RUN, channel="b", member=Member(client="2"), announce=True),
            Left(**RUN, channel="chat:a", member=member, announce=True),
        ]
        assert [(each.exchange, each.routing_key) for each in rig.publisher.confirmed] == [
            ("warren.presence", "chat.a"),
            ("warren.presence", "_.b"),
            ("warren.presence", "chat.a"),
        ]


async def test_what_gathers_while_a_batch_is_confirmed_goes_in_the_next_one() -> None:
    async with running(presence_batch=100) as rig:
        gate = asyncio.Event()
        batches = 0

        async def confirming() -> None:
            nonlocal batches
            batches += 1
            await gate.wait()

        rig.publisher.confirming = confirming
        for number in range(50):
            rig.join("a", str(number))
            await settle()
        assert batches == 1
        gate.set()
        await settle()
        assert batches == 2
        assert len(rig.reports) == 50


async def test_a_snapshot_request_is_answered_room_by_room_and_with_an_end_that_follows() -> None:
    async with running() as rig:
        rig.join("a", "1")
        rig.join("a", "2")
        rig.join("b", "3")
        await settle()
        rig.publisher.confirmed.clear()
        rig.reporter.answer("sync-1")
        await settle()
        assert rig.reports == [
            Snapshot(
                **RUN, channel="a", members=(Member(client="1"), Member(client="2")), announce=True, sync="sync-1"
            ),
            Snapshot(**RUN, channel="b", members=(Member(client="3"),), announce=True, sync="sync-1"),
            Synced(**RUN, sync="sync-1"),
        ]
        assert (rig.publisher.confirmed[-1].exchange, rig.publisher.confirmed[-1].routing_key) == (
            "warren.events",
            "gateway.synced",
        )


async def test_what_may_be_lost_is_repeated_once_the_broker_takes_it() -> None:
    async with running() as rig:
        rig.publisher.fails = True
        rig.publisher.takes_before_failing = 1
        rig.join("a", "1")
        rig.join("a", "2")
        await settle()
        rig.reporter.left("a", "1", announce=True)
        assert rig.reporter.failures == 1
        rig.publisher.fails = False
        rig.publisher.confirmed.clear()
        await rig.pauses.pass_all()
        assert rig.reports == [
            Joined(**RUN, channel="a", member=Member(client="1"), announce=True),
            Joined(**RUN, channel="a", member=Member(client="2"), announce=True),
            Left(**RUN, channel="a", member=Member(client="1"), announce=True),
        ]


async def test_pauses_between_attempts_grow_and_are_bounded() -> None:
    async with running() as rig:
        rig.publisher.fails = True
        rig.join("a", "1")
        await settle()
        for _ in range(20):
            await rig.pauses.pass_all()
        assert rig.reporter.failures >= 20
        assert max(rig.pauses.asked) <= 5.0


async def test_everything_is_reported_again_after_the_broker_returned() -> None:
    async with running() as rig:
        rig.join("a", "1")
        rig.join("b", "2")
        await settle()
        rig.publisher.confirmed.clear()
        rig.reporter.report_all()
        await settle()
        assert [each.channel for each in rig.reports if isinstance(each, Snapshot)] == ["a", "b"]
        assert len(rig.reports) == 2


async def test_the_gateway_beats_regularly_and_sooner_after_a_beat_that_was_not_sent() -> None:
    async with running() as rig:
        assert rig.beats == [Heartbeat(**RUN)]
        assert rig.pauses.asked == [HEARTBEAT_SECONDS]
        rig.publisher.fails = True
        await rig.pauses.pass_all()
        assert rig.pauses.asked[-1] < 1
        rig.publisher.fails = False
        await rig.pauses.pass_all()
        assert rig.beats == [Heartbeat(**RUN)] * 2


async def test_draining_reports_the_rest_and_then_that_the_run_is_over_and_beats_no_more() -> None:
    async with running() as rig:
        rig.join("a", "1")
        await rig.reporter.drain()
        assert rig.reports == [Joined(**RUN, channel="a", member=Member(client="1"), announce=True), Stopped(**RUN)]
        await rig.pauses.pass_all()
        assert len(rig.beats) == 1


async def test_draining_does_not_wait_forever_for_a_broker_that_is_gone() -> None:
    async with running() as rig:
        rig.publisher.fails = True
        rig.join("a", "1")
        await asyncio.wait_for(rig.reporter.drain(), timeout=5)
        assert rig.reports == []


async def test_draining_has_one_deadline_for_all_of_it() -> None:
    async with running(drain_deadline=2.0) as rig:
        stands_still = asyncio.Event()

        async def confirming() -> None:
            await stands_still.wait()

        rig.publisher.confirming = confirming
        rig.join("a", "1")
        async with asyncio.timeout(3.5):
            await rig.reporter.drain()
        assert rig.reports == []


async def test_who_asks_waits_until_the_channels_changes_are_confirmed_and_for_no_other_channel() -> None:
    async with running() as rig:
        gate = asyncio.Event()

        async def confirming() -> None:
            await gate.wait()

        rig.publisher.confirming = confirming
        rig.join("a", "1")
        await settle()
        asking = asyncio.ensure_future(rig.reporter.reported("a"))
        await asyncio.wait_for(rig.reporter.reported("b"), timeout=5)
        await settle()
        assert not asking.done()
        gate.set()
        await asyncio.wait_for(asking, timeout=5)
        assert [each.channel for each in rig.reports if isinstance(each, Joined)] == ["a"]
        await asyncio.wait_for(rig.reporter.reported("a"), timeout=5)


async def test_who_asks_waits_for_changes_that_were_lost_to_be_repeated_and_may_give_up() -> None:
    async with running() as rig:
        rig.publisher.fails = True
        rig.join("a", "1")
        await settle()
        asking, impatient = (asyncio.ensure_future(rig.reporter.reported("a")) for _ in range(2))
        await settle()
        impatient.cancel()
        await settle()
        assert impatient.cancelled()
        assert not asking.done()
        rig.publisher.fails = False
        await rig.pauses.pass_all()
        await asyncio.wait_for(asking, timeout=5)
        assert [type(each) for each in rig.reports] == [Joined]


async def test_who_asked_before_a_change_does_not_wait_for_it() -> None:
    async with running() as rig:
        rig.join("a", "1")
        await settle()
        asking = rig.reporter.reported("a")
        gate = asyncio.Event()

        async def confirming() -> None:
            await gate.wait()

        rig.publisher.confirming = confirming
        rig.reporter.left("a", "1", announce=False)
        await settle()
        await asyncio.wait_for(asking, timeout=5)
        assert [type(each) for each in rig.reports] == [Joined]
