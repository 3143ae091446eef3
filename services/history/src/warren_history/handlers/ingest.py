"""The durable path: a partition's deliveries are stored, numbered and sent on to the gateways."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import structlog

from warren_history.domain.admission import Admission, Rejected
from warren_history.domain.publications import Appended, NewPublication
from warren_history.handlers import spans as tracing_of
from warren_history.handlers.appending import Appending
from warren_history.handlers.burial import Burial
from warren_history.handlers.delivering import Delivering
from warren_history.handlers.dispatch import Dispatch
from warren_history.handlers.egress import Leaving
from warren_history.handlers.patience import BatchGivenBackError, Patience
from warren_history.handlers.trials import Trials
from warren_history.metrics import Counts
from warren_history.ports import Store
from warren_shared.contracts.namespaces import Namespaces
from warren_shared.messaging.port import BatchHandler, Delivery, Publisher
from warren_shared.observability.bounded_log import BoundedLog
from warren_shared.observability.tracing import Tracing
from warren_shared.runtime.clock import Clock

_Handle = Callable[[str, Sequence[Delivery]], Awaitable[None]]
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class IngestOptions:
    """How batches are handled; times are seconds."""

    patience: Patience
    publish_deadline: float
    drain: float
    """How long stopping waits for the batches in hand."""
    pack_deliveries: bool = True
    """Whether publications may leave together, in one message."""


class Ingest:
    """Handles the batches of all partitions; those of one partition one after another.

    A batch is acked (by returning) once its rejected deliveries are dead letters, its publications
    are committed, and the broker has confirmed every numbered publication. What the broker refuses
    for good, the store fails on, or history dies of, is logged and passed over: no message can stop its partition.
    Dying in between means that the broker delivers the batch again: whatever has a message id finds
    its offset and is only sent again, gateways drop an offset they have had, and a dead letter may be
    there twice.
    """

    def __init__(
        self,
        store: Store,
        publisher: Publisher,
        namespaces: Namespaces,
        *,
        clock: Clock,
        tracing: Tracing,
        counts: Counts,
        options: IngestOptions,
    ) -> None:
        self._admission = Admission(namespaces)
        self._tracing, self._counts, self._options = tracing, counts, options
        dispatch = Dispatch(publisher, options.patience, options.publish_deadline, self._count_egress_failure)
        self._appending = Appending(store, patience=options.patience, clock=clock, counts=counts)
        log = BoundedLog(clock.monotonic)
        self._burial = Burial(dispatch, counts, log)
        self._delivering = Delivering(dispatch, namespaces, pack=options.pack_deliveries, counts=counts, log=log)
        self._trials = Trials(store, options.patience, counts)
        self._door = asyncio.Lock()
        """Held by who has a suspect in hand: nobody else begins anything."""
        self._in_hand = 0
        self._draining = False
        self._idle = asyncio.Event()
        self._idle.set()

    def use(self, namespaces: Namespaces) -> None:
        """Decide on the next batches under new namespaces."""
        self._admission = Admission(namespaces)
        self._delivering.use(namespaces)

    def handler(self, queue: str) -> BatchHandler:
        """Return the handler for a partition's queue."""
        return partial(self._take, queue)

    async def drain(self) -> None:
        """Finish the batches in hand, for a bounded time, and leave later ones to the broker."""
        self._draining = True
        try:
            async with asyncio.timeout(self._options.drain):
                await self._idle.wait()
        except TimeoutError:
            _log.warning("batches_left_unfinished", batches=self._in_hand)

    async def _take(self, queue: str, deliveries: Sequence[Delivery]) -> None:
        if not deliveries[0].is_suspect:
            async with self._door:
                pass
            await self._count_in(queue, deliveries, self._handle)
            return
        async with self._door:
            await self._idle.wait()  # so that history dies of this one or of none
            await self._count_in(queue, deliveries, self._try_alone)

    async def _count_in(self, queue: str, deliveries: Sequence[Delivery], handle: _Handle) -> None:
        if self._draining:
            # Held, not refused: the broker takes it back when the bus stops, a moment from now.
            await asyncio.sleep(self._options.drain)
            raise BatchGivenBackError("history is stopping")
        self._in_hand += 1
        self._idle.clear()
        try:
            await handle(queue, deliveries)
        except BatchGivenBackError:
            self._counts.given_back += 1
            raise
        finally:
            self._in_hand -= 1
            if not self._in_hand:
                self._idle.set()

    async def _try_alone(self, queue: str, deliveries: Sequence[Delivery]) -> None:
        (suspect,) = deliveries
        deadly = await self._trials.begin(queue, suspect)
        try:
            if deadly is None:
                await self._handle(queue, deliveries)
            else:
                await self._burial.bury(queue, [(suspect, deadly)])
        finally:
            await self._trials.end(queue)

    async def _handle(self, queue: str, deliveries: Sequence[Delivery]) -> None:
        with tracing_of.processing(self._tracing, queue, deliveries) as spans:
            outcomes = self._admit(deliveries)
            tracing_of.note_admission(spans, outcomes)
            # Before the append: should the batch come again, a second dead letter harms nobody, a second
            # append of publications without message id would.
            await self._bury(queue, deliveries, outcomes)
            accepted = {place: item for place, item in outcomes.items() if isinstance(item, NewPublication)}
            if not accepted:
                return
            with tracing_of.appending(self._tracing, spans, len(accepted)):
                results = await self._appending.append(queue, list(accepted.values()))
            stored = dict(zip(accepted, results, strict=True))
            await self._bury(queue, deliveries, stored)
            appended = {place: result for place, result in stored.items() if isinstance(result, Appended)}
            if not appended:
                return
            tracing_of.note_positions(spans, appended)
            with tracing_of.publishing(self._tracing, spans, deliveries, appended) as trace:
                leaving = [
                    Leaving(deliveries[place], result, trace.get(place, {})) for place, result in appended.items()
                ]
                await self._delivering.deliver(queue, leaving)

    def _admit(self, deliveries: Sequence[Delivery]) -> Mapping[int, NewPublication | Rejected]:
        admit = self._admission.admit
        return {
            place: admit(
                delivery.routing_key,
                delivery.body,
                delivery.headers,
                message_id=delivery.message_id,
                content_type=delivery.content_type,
            )
            for place, delivery in enumerate(deliveries)
        }

    async def _bury(self, queue: str, deliveries: Sequence[Delivery], outcomes: Mapping[int, object]) -> None:
        await self._burial.bury(
            queue, [(deliveries[place], why) for place, why in outcomes.items() if isinstance(why, Rejected)]
        )

    def _count_egress_failure(self) -> None:
        self._counts.egress_failures += 1
