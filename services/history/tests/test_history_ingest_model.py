"""Whatever fails on the durable path, gateways see every publication once and in order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from warren_history.domain.publications import Appended, NewPublication
from warren_history.handlers.ingest import Ingest, IngestOptions
from warren_history.handlers.patience import BatchGivenBackError, Patience
from warren_history.metrics import Counts
from warren_history.ports import StoreUnavailableError
from warren_shared.contracts.namespaces import parse_namespaces
from warren_shared.messaging.port import BrokerUnavailableError, Delivery
from warren_shared.observability.tracing import Tracing

from .fakes import FakeClock, FakePublisher, apart
from .memory_store import MemoryStore

NAMESPACES = parse_namespaces(
    "namespaces: [{name: chat, history_size: 2, history_ttl: 1h}, "
    "{name: mine, history_size: 2, history_ttl: 1h, bind_namespace: true}]"
)
failures = st.lists(st.sampled_from(["none", "before", "after"]), max_size=12)


class FlakyStore(MemoryStore):
    """Fails before or after having appended, as planned."""

    def __init__(self, planned: Sequence[str]) -> None:
        super().__init__()
        self.planned = deque(planned)

    async def append(self, batch: Sequence[NewPublication], *, now: int) -> Sequence[Appended]:
        plan = self.planned.popleft() if self.planned else "none"
        if plan == "before":
            raise StoreUnavailableError(plan)
        results = await super().append(batch, now=now)
        if plan == "after":
            raise StoreUnavailableError(plan)
        return results


class Gateway:
    """Follows offsets as a gateway does: lower ones were had before, a higher one would be a gap."""

    def __init__(self) -> None:
        self.top: dict[str, int] = {}
        self.seen: dict[str, list[bytes]] = {}

    def follow(self, publisher: FakePublisher) -> None:
        for message in apart(publisher.published):
            offset = message.headers["offset"]
            assert isinstance(offset, int)
            channel, top = message.routing_key, self.top.get(message.routing_key, 0)
            assert offset <= top + 1
            if offset == top + 1:
                self.top[channel] = offset
                self.seen.setdefault(channel, []).append(message.body)
        publisher.published.clear()


@settings(max_examples=100, deadline=None)
@given(
    keys=st.lists(st.sampled_from(["chat.a", "chat.b", "mine.a", "mine.b"]), max_size=12),
    batch_size=st.integers(1, 5),
    store_plan=failures,
    before=st.lists(st.booleans(), max_size=12),
    after=st.lists(st.booleans(), max_size=12),
)
def test_every_publication_arrives_once_in_order(
    keys: list[str], batch_size: int, store_plan: list[str], before: list[bool], after: list[bool]
) -> None:
    deliveries = [
        Delivery("warren.publish", key, str(number).encode(), message_id=f"m{number}")
        for number, key in enumerate(keys)
    ]
    gateway = Gateway()
    asyncio.run(_deliver_until_acked(deliveries, batch_size, store_plan, before, after, gateway))
    for key in set(keys):
        assert gateway.seen[key] == [d.body for d in deliveries if d.routing_key == key]


async def _deliver_until_acked(
    deliveries: list[Delivery],
    batch_size: int,
    store_plan: list[str],
    before: list[bool],
    after: list[bool],
    gateway: Gateway,
) -> None:
    publisher = FakePublisher()
    publisher.failures.extend(BrokerUnavailableError("before") if fail else None for fail in before)
    publisher.failures_after.extend(BrokerUnavailableError("after") if fail else None for fail in after)
    ingest = Ingest(
        FlakyStore(store_plan),
        publisher,
        NAMESPACES,
        clock=FakeClock(),
        tracing=Tracing(None),
        counts=Counts(),
        options=IngestOptions(Patience(seconds=0), publish_deadline=1, drain=1),
    )
    take = ingest.handler("warren.history.0")
    waiting = deliveries
    while waiting:
        batch = waiting[:batch_size]
        try:
            await take(batch)
            waiting = waiting[batch_size:]
        except BatchGivenBackError:
            pass  # delivered again: a broker keeps what is not acked, in its order
        gateway.follow(publisher)
