"""What arrives in a gateway's inbox, and where it goes."""

from __future__ import annotations

import pytest

from warren_gateway.adapters.inbox import GatewayInbox
from warren_gateway.domain.token_bucket import TokenBucket
from warren_gateway.handlers.counts import BusCounts
from warren_gateway.handlers.dead_letters import DeadLetters
from warren_shared.contracts.presence import SnapshotRequest
from warren_shared.messaging.dead_letters import REASON_HEADER
from warren_shared.messaging.port import BusError, Delivery

from .bus_fakes import Client, FakeInbox, FakePublisher, ManualClock
from .bus_world import World, live, world


class Reports:
    """Writes down what presence is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def answer(self, sync: str) -> None:
        self.told.append(sync)

    def report_all(self) -> None:
        self.told.append("all")


class Rig:
    def __init__(self, made: World, *, per_second: float = 50) -> None:
        self.publisher, self.counts, self.clock = FakePublisher(), BusCounts(), ManualClock()
        self.dead_letters = DeadLetters(
            self.publisher, self.counts, per_second=per_second, monotonic=self.clock.monotonic
        )
        self.presence = Reports()
        self.inbox = GatewayInbox("gw", made.channels, self.presence, self.dead_letters, bind_deadline=1)


def control(body: bytes) -> Delivery:
    return Delivery("warren.control", "all.presence", body)


async def test_the_inbox_binds_its_control_keys_and_then_the_channels() -> None:
    async with world(connected=False) as w:
        rig, queue = Rig(w), FakeInbox()
        await rig.inbox.on_open(queue)
        assert queue.keys == {("warren.control", "all.#"), ("warren.control", "gateway.gw")}
        client = Client("c")
        await w.subscribe(client, "live:a")
        rig.inbox.on_lost()
        again = FakeInbox()
        await rig.inbox.on_open(again)
        assert again.keys == {*queue.keys, ("warren.deliver", "live.a")}


async def test_an_inbox_that_cannot_bind_says_so() -> None:
    async with world(connected=False) as w:
        queue = FakeInbox()
        queue.fails = True
        with pytest.raises(BusError):
            await Rig(w).inbox.on_open(queue)


async def test_presence_is_reported_anew_after_a_loss_but_not_at_the_start() -> None:
    async with world(connected=False) as w:
        rig = Rig(w)
        await rig.inbox.on_open(FakeInbox())
        assert rig.presence.told == []
        rig.inbox.on_lost()
        await rig.inbox.on_open(FakeInbox())
        assert rig.presence.told == ["all"]


async def test_deliveries_go_to_channels_and_requests_for_snapshots_to_presence() -> None:
    async with world() as w:
        rig, client = Rig(w), Client("c")
        await w.subscribe(client, "live:a")
        rig.inbox.on_deliveries(
            [live("live:a", b"1"), control(SnapshotRequest(sync="s").encode()), live("live:a", b"2")]
        )
        await w.deliver()
        assert client.data == [1, 2]
        assert rig.presence.told == ["s"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"type":"gateway.dance","v":1}', "not known"),
        (b'{"type":"presence.snapshot_request","v":2,"sync":"s"}', "version"),
        (b'{"type":"presence.snapshot_request","v":1}', "sync"),
        (b"rubbish", "JSON"),
    ],
)
async def test_a_control_message_nobody_understands_is_dead_lettered_with_its_reason(body: bytes, reason: str) -> None:
    async with world() as w:
        rig = Rig(w)
        rig.inbox.on_deliveries([control(body)])
        (letter,) = rig.publisher.sent
        assert (letter.exchange, letter.routing_key, letter.body) == ("warren.dead", "all.presence", body)
        assert reason in str(letter.headers[REASON_HEADER])
        assert rig.counts.dead_letters == 1


async def test_dead_letters_are_limited_in_rate_and_the_rest_is_counted() -> None:
    async with world() as w:
        rig = Rig(w, per_second=3)
        rig.inbox.on_deliveries([control(b"rubbish")] * 10)
        assert len(rig.publisher.sent) == rig.counts.dead_letters == 3
        assert rig.counts.dead_letters_suppressed == 7
        rig.clock.time += 1
        rig.inbox.on_deliveries([control(b"rubbish")])
        assert len(rig.publisher.sent) == 4


async def test_a_gateway_that_ends_takes_nothing_more() -> None:
    async with world() as w:
        rig, client = Rig(w), Client("c")
        await w.subscribe(client, "live:a")
        rig.inbox.close()
        rig.inbox.on_deliveries([live("live:a", b"1")])
        rig.inbox.on_lost()
        await w.deliver()
        assert client.data == []
        await w.subscribe(client, "live:b")
        assert len(client.replies) == 2


async def test_a_delivery_that_meets_a_bug_disturbs_no_other() -> None:
    async with world() as w:
        rig, client = Rig(w), Client("c")
        await w.subscribe(client, "live:a")
        broken = Delivery("warren.deliver", "live.a", None)  # type: ignore[arg-type]  # what no bus would hand over
        rig.inbox.on_deliveries([live("live:a", b"1"), broken, live("live:a", b"2")])
        await w.deliver()
        assert client.data == [1, 2]
        assert len(rig.publisher.sent) == 1


def test_a_bucket_is_full_at_first_and_fills_again_over_time() -> None:
    bucket = TokenBucket(2)
    assert [bucket.take(0.0) for _ in range(3)] == [True, True, False]
    assert [bucket.take(0.5) for _ in range(2)] == [True, False]
    assert [bucket.take(99.0) for _ in range(3)] == [True, True, False]


def test_a_bucket_gives_all_that_is_asked_for_or_nothing() -> None:
    bucket = TokenBucket(10)
    assert [bucket.take(0.0, tokens) for tokens in (8, 3, 2, 1)] == [True, False, True, False]
