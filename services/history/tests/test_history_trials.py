"""What came in vain too often is tried alone, and given up if history dies of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from warren_history.domain.admission import Reason
from warren_history.handlers.ingest import Ingest, IngestOptions
from warren_history.handlers.patience import BatchGivenBackError, Patience
from warren_history.metrics import Counts
from warren_history.ports import StoreUnavailableError
from warren_shared.contracts.namespaces import parse_namespaces
from warren_shared.messaging.dead_letters import REASON_HEADER
from warren_shared.messaging.port import SUSPECT_AFTER, BrokerUnavailableError, Delivery
from warren_shared.observability.tracing import Tracing

from .fakes import FakeClock, FakePublisher
from .memory_store import MemoryStore

NAMESPACES = parse_namespaces("namespaces: [{name: chat, history_size: 100, history_ttl: 1h}]")


def suspect(body: str) -> Delivery:
    headers = {"x-delivery-count": SUSPECT_AFTER}
    return Delivery("warren.publish", "chat.room", body.encode(), headers, "m1", redelivered=True)


def innocent(body: str) -> Delivery:
    return Delivery("warren.publish", "chat.room", body.encode())


class Life:
    """One run of history on a store that outlives it."""

    def __init__(self, store: MemoryStore, patience: Patience | None = None) -> None:
        self.publisher, self.counts = FakePublisher(), Counts()
        self.ingest = Ingest(
            store,
            self.publisher,
            NAMESPACES,
            clock=FakeClock(),
            tracing=Tracing(None),
            counts=self.counts,
            options=IngestOptions(patience or Patience(seconds=0), publish_deadline=5.0, drain=5.0),
        )

    async def take(self, *deliveries: Delivery, queue: str = "q.0") -> None:
        await self.ingest.handler(queue)(deliveries)

    @asynccontextmanager
    async def dying_with(self, deliveries: Sequence[Delivery]) -> AsyncIterator[None]:
        """Have it in the midst of a batch while the block runs, and nobody who lived to tell what became of it."""
        self.publisher.gate.clear()
        taking = asyncio.create_task(self.take(*deliveries))
        await self.publisher.called.wait()
        yield
        taking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await taking


async def die_of(store: MemoryStore, delivery: Delivery, *, times: int) -> None:
    """Leave in the store what so many processes leave that die with a delivery in hand."""
    for _ in range(times):
        async with Life(store).dying_with([delivery]):
            trials = dict(store.trials)
        store.trials = trials


async def test_a_delivery_that_history_died_of_three_times_alone_is_dead_lettered_and_the_rest_goes_on() -> None:
    store = MemoryStore()
    await die_of(store, suspect("1"), times=3)
    life = Life(store)
    await life.take(suspect("1"))
    await life.take(innocent("2"))
    letter, publication = life.publisher.published
    assert (letter.exchange, letter.body) == ("warren.dead", b"1")
    assert letter.headers[REASON_HEADER] == "deadly: history died 3 times with nothing else in hand"
    assert (publication.exchange, publication.body) == ("warren.deliver", b"2")
    assert life.counts.rejected == {Reason.DEADLY: 1}
    assert store.trials == {}


async def test_a_suspect_that_history_lives_through_is_stored_like_any_other() -> None:
    store = MemoryStore()
    await die_of(store, suspect("1"), times=2)
    life = Life(store)
    await life.take(suspect("1"))
    assert [message.exchange for message in life.publisher.published] == ["warren.deliver"]
    assert store.trials == {}


async def test_a_suspect_that_is_given_back_however_often_is_not_given_up() -> None:
    store = MemoryStore()
    life = Life(store)
    for _ in range(10):
        life.publisher.failures.append(BrokerUnavailableError("gone"))
        with pytest.raises(BatchGivenBackError):
            await life.take(suspect("1"))
    await life.take(suspect("1"))
    assert [message.exchange for message in life.publisher.published] == ["warren.deliver"]


async def test_a_trial_that_ends_while_the_store_is_away_counts_as_no_death() -> None:
    store = MemoryStore()
    life = Life(store)
    store.fails_on, store.then = b"1", StoreUnavailableError("locked")
    for _ in range(10):
        with pytest.raises(BatchGivenBackError):
            await life.take(suspect("1"))
        store.fail = None
    store.fails_on = None
    await life.take(suspect("1"))
    assert [message.exchange for message in life.publisher.published] == ["warren.deliver"]


async def settled() -> None:
    """Let everything run that can."""
    for _ in range(50):
        await asyncio.sleep(0)


@pytest.mark.parametrize(("first", "second"), [(innocent("1"), suspect("2")), (suspect("1"), innocent("2"))])
async def test_nothing_else_is_in_hand_while_a_suspect_is_tried(first: Delivery, second: Delivery) -> None:
    life = Life(MemoryStore())
    life.publisher.gate.clear()
    async with asyncio.TaskGroup() as group:
        group.create_task(life.take(first, queue="q.0"))
        await life.publisher.called.wait()
        group.create_task(life.take(second, queue="q.1"))
        await settled()
        assert len(life.publisher.calls) == 1
        life.publisher.gate.set()
    assert [message.body for message in life.publisher.published] == [b"1", b"2"]


async def test_innocents_of_several_partitions_are_in_hand_together() -> None:
    life = Life(MemoryStore())
    life.publisher.gate.clear()
    async with asyncio.TaskGroup() as group:
        for number in range(3):
            group.create_task(life.take(innocent("1"), queue=f"q.{number}"))
        await settled()
        assert len(life.publisher.calls) == 3
        life.publisher.gate.set()


async def test_who_only_says_that_it_was_delivered_often_is_no_suspect() -> None:
    forged = Delivery("warren.publish", "chat.room", b"1", {"x-delivery-count": 99})
    odd = Delivery("warren.publish", "chat.room", b"1", {"x-delivery-count": "99"}, redelivered=True)
    assert not forged.is_suspect
    assert not odd.is_suspect
