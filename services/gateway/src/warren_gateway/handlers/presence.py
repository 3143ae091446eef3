"""Reports to presence who is in which channel; presence indexes what gateways tell it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Final, TypedDict, assert_never

import structlog
from tenacity import AsyncRetrying, retry_if_exception_type, wait_random_exponential

from warren_gateway.bus_options import BusSideOptions
from warren_gateway.domain.census import Census
from warren_gateway.domain.presence_outbox import Change, PresenceOutbox, Report, SyncEnd, WholeRoom
from warren_gateway.domain.presence_table import PresenceTable
from warren_gateway.identity import GatewayIdentity
from warren_shared.contracts.channels import routing_key_of
from warren_shared.contracts.envelope import Message
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
from warren_shared.messaging.port import BusError, Outgoing, Publisher
from warren_shared.topology.catalogue import EventKey, ExchangeName

SYNCS_WAITING: Final = 64
FIRST_PAUSE: Final = 0.2
LONGEST_PAUSE: Final = 5.0
BEAT_AGAIN_SECONDS: Final = 0.5
"""Pause after a heartbeat that could not be sent."""
_log = structlog.get_logger()
Sleep = Callable[[float], Awaitable[None]]


class _Run(TypedDict):
    gateway: str
    incarnation: str
    started: float


class PresenceReporter:
    """Keeps the local truth and reports it, in order, in batches that are confirmed together."""

    def __init__(
        self,
        publisher: Publisher,
        identity: GatewayIdentity,
        options: BusSideOptions,
        *,
        census: Callable[[], Census] = Census,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """``census`` counts who is here, for heartbeats."""
        self._publisher, self._options, self._sleep = publisher, options, sleep
        self._census = census
        self._run: _Run = {
            "gateway": identity.gateway,
            "incarnation": identity.incarnation,
            "started": identity.started,
        }
        self._table = PresenceTable()
        self._outbox = PresenceOutbox(
            self._table, changes=options.presence_queue, syncs=SYNCS_WAITING, prefix=identity.incarnation
        )
        self._work = asyncio.Event()
        self._reported = asyncio.Event()
        self._reported.set()
        self._draining = False
        self._askers: dict[str, dict[asyncio.Future[None], int]] = {}
        """By channel: who waits until its changes up to a mark were reported; marks ascend."""
        self.failures = 0
        """Batches that were not confirmed."""

    @property
    def members(self) -> int:
        """How many subscriptions presence is told of."""
        return self._table.size

    def joined(self, channel: str, member: Member, *, announce: bool) -> None:
        """A connection subscribed."""
        self._table.join(channel, member, announce=announce)
        self._outbox.change(Change(channel, member, announce, joined=True))
        self._wake()

    def left(self, channel: str, client: str, *, announce: bool) -> None:
        """A connection is no longer subscribed."""
        member = self._table.leave(channel, client)
        if member is not None:
            self._outbox.change(Change(channel, member, announce, joined=False))
            self._wake()

    def answer(self, sync: str) -> None:
        """Report everything to presence, which asked for it under the id ``sync``."""
        self._outbox.answer(sync)
        self._wake()

    def report_all(self) -> None:
        """Report everything of our own accord: what was sent may be lost."""
        self._outbox.report_all()
        self._wake()

    def reported(self, channel: str) -> Awaitable[None]:
        """Return what waits until all changes of a channel that were told until now are confirmed;
        without a deadline of its own, and not at all if they are.
        """
        return self._until_reported(channel, self._outbox.mark(channel))

    async def _until_reported(self, channel: str, mark: int) -> None:
        if self._outbox.reported(channel, mark):
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        askers = self._askers.setdefault(channel, {})
        askers[done] = mark
        try:
            await done
        finally:
            askers.pop(done, None)
            if not askers and self._askers.get(channel) is askers:
                del self._askers[channel]

    async def run(self) -> None:
        """Report and beat until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_beating())
            tasks.create_task(self._keep_reporting())

    async def drain(self) -> None:
        """Report what is left, then that this run is over; both together for at most the drain deadline.

        What is left gets two thirds of it: a gateway that says nothing of its end is missed by its
        heartbeats, which takes longer.
        """
        self._draining = True
        deadline = self._options.drain_deadline
        with suppress(TimeoutError):
            async with asyncio.timeout(deadline * 2 / 3):
                await self._reported.wait()
        with suppress(BusError):
            await self._publisher.publish(_event(EventKey.GATEWAY_STOPPED, Stopped(**self._run)), deadline=deadline / 3)

    def _wake(self) -> None:
        self._reported.clear()
        self._work.set()

    async def _keep_beating(self) -> None:
        while not self._draining:
            beat = Heartbeat(**self._run, **asdict(self._census()))
            sent = self._publisher.send(_event(EventKey.GATEWAY_HEARTBEAT, beat))
            await self._sleep(HEARTBEAT_SECONDS if sent else BEAT_AGAIN_SECONDS)

    async def _keep_reporting(self) -> None:
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(BusError),
            wait=wait_random_exponential(multiplier=FIRST_PAUSE, max=LONGEST_PAUSE),
            sleep=self._sleep,
        )
        while True:
            await self._work.wait()
            self._work.clear()
            await retrying(self._report)
            if not self._outbox:
                self._reported.set()

    async def _report(self) -> None:
        """Publish all that waits. Raises BusError; the outbox knows then what may be lost."""
        while taken := self._outbox.take(self._options.presence_batch):
            messages = [self._outgoing(report) for report in taken]
            try:
                await self._publisher.publish_all(messages, deadline=self._options.publish_deadline)
            except BusError as error:
                self.failures += 1
                self._outbox.lost(taken)
                _log.warning("presence_not_reported", reports=len(taken), reason=str(error))
                raise
            self._outbox.confirmed(taken)
            self._answer_askers(taken)

    def _answer_askers(self, taken: Sequence[Report]) -> None:
        channels = {_channel_of(report) for report in taken if not isinstance(report, SyncEnd)}
        for channel in channels.intersection(self._askers):
            askers = self._askers[channel]
            for done in list(askers):
                if not self._outbox.reported(channel, askers[done]):
                    break
                del askers[done]
                if not done.done():
                    done.set_result(None)

    def _outgoing(self, report: Report) -> Outgoing:
        match report:
            case Change(channel, member, announce, joined):
                kind = Joined if joined else Left
                return _to_partition(channel, kind(**self._run, channel=channel, member=member, announce=announce))
            case WholeRoom(room, sync):
                snapshot = Snapshot(
                    **self._run, channel=room.channel, members=room.members, announce=room.announce, sync=sync
                )
                return _to_partition(room.channel, snapshot)
            case SyncEnd(sync):
                return _event(EventKey.GATEWAY_SYNCED, Synced(**self._run, sync=sync))
            case _:
                assert_never(report)


def _channel_of(report: Change | WholeRoom) -> str:
    return report.channel if isinstance(report, Change) else report.room.channel


def _to_partition(channel: str, message: Message) -> Outgoing:
    return Outgoing(ExchangeName.PRESENCE.value, routing_key_of(channel), message.encode())


def _event(key: EventKey, message: Message) -> Outgoing:
    return Outgoing(ExchangeName.EVENTS.value, key.value, message.encode())
