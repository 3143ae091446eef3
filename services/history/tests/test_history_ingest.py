"""The durable path from a partition's deliveries to numbered publications."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from structlog.testing import capture_logs

from warren_history.domain.admission import Reason
from warren_history.domain.publications import Content, ReadPlan, Retention, StreamPage
from warren_history.handlers.ingest import Ingest, IngestOptions
from warren_history.handlers.patience import BatchGivenBackError, Patience
from warren_history.metrics import Counts
from warren_history.ports import StoreUnavailableError
from warren_shared.contracts.namespaces import parse_namespaces
from warren_shared.messaging.dead_letters import REASON_HEADER, SERVICE_HEADER
from warren_shared.messaging.port import BrokerUnavailableError, Delivery, Outgoing, PublishRejectedError
from warren_shared.observability.tracing import Tracing

from .fakes import FakeClock, FakePublisher, apart
from .memory_store import MemoryStore

QUEUE = "warren.history.0"
NAMESPACES = parse_namespaces(
    """
    namespaces:
      - {name: chat, history_size: 100, history_ttl: 1h}
      - {name: files, history_size: 100, history_ttl: 1h, publication_data_format: binary}
      - {name: live}
    """
)
PATIENT = Patience(seconds=30, first_pause=0.001, longest_pause=0.005)
IMPATIENT = Patience(seconds=0)


class Service:
    """An ingest and all it works with."""

    def __init__(self, patience: Patience = PATIENT, *, drain: float = 5.0) -> None:
        self.store, self.publisher, self.counts = MemoryStore(), FakePublisher(), Counts()
        self.ingest = Ingest(
            self.store,
            self.publisher,
            NAMESPACES,
            clock=FakeClock(),
            tracing=Tracing(None),
            counts=self.counts,
            options=IngestOptions(patience, publish_deadline=5.0, drain=drain),
        )
        self.take = self.ingest.handler(QUEUE)

    async def handle(self, batch: Sequence[Delivery]) -> None:
        await self.take(batch)

    async def store_fails(self, *, times: int) -> None:
        """Wait until the store has failed so often."""
        async with asyncio.timeout(10):
            while self.counts.store_failures < times:  # noqa: ASYNC110 - a plain counter of the code under test
                await asyncio.sleep(0)

    async def stream(self, channel: str = "chat:room") -> StreamPage:
        keep = Retention(100, 3_600_000, 30 * 86_400_000)
        return await self.store.read(ReadPlan(channel, keep, 1000, 1_000_000), now=1_700_000_000_000)


def delivery(body: str, message_id: str | None = None, key: str = "chat.room", **headers: str) -> Delivery:
    return Delivery("warren.publish", key, body.encode(), headers, message_id, content_type="application/json")


def sent(messages: Sequence[Outgoing]) -> list[tuple[str, bytes, object]]:
    return [(message.routing_key, message.body, message.headers.get("offset")) for message in apart(messages)]


async def test_a_batch_is_numbered_and_sent_in_order() -> None:
    service = Service()
    await service.take([delivery("1"), delivery("2", key="chat.other"), delivery("3")])
    assert sent(service.publisher.published) == [
        ("chat.room", b"1", 1),
        ("chat.room", b"3", 2),
        ("chat.other", b"2", 1),
    ]
    assert service.counts.appended == {"chat": 3}
    assert service.counts.batches.total == 3


async def test_a_numbered_publication_carries_the_contracts_headers_and_no_others() -> None:
    service = Service()
    await service.take(
        [delivery("1", "m1", info='{"user":"a"}', **{"tag-k": "v", "offset": "9", "epoch": "x", "x-other": "y"})]
    )
    (message,) = service.publisher.published
    epoch = (await service.stream()).epoch
    assert message == Outgoing(
        "warren.deliver",
        "chat.room",
        b"1",
        headers={"offset": 1, "epoch": epoch, "time": 1_700_000_000_000, "info": '{"user":"a"}', "tag-k": "v"},
        message_id="m1",
        content_type="application/json",
    )
    assert dict(message.headers) == {
        "offset": 1,
        "epoch": epoch,
        "time": 1_700_000_000_000,
        "info": '{"user":"a"}',
        "tag-k": "v",
    }


async def test_the_content_type_is_kept_or_told_by_the_namespace() -> None:
    service = Service()
    await service.take(
        [
            Delivery("warren.publish", "files.a", b"\xff", content_type="image/png"),
            Delivery("warren.publish", "files.a", b"\xff"),
            Delivery("warren.publish", "chat.a", b"1"),
        ]
    )
    assert [message.content_type for message in apart(service.publisher.published)] == [
        "image/png",
        "application/octet-stream",
        "application/json",
    ]


async def test_a_redelivered_batch_is_sent_again_under_its_old_offsets() -> None:
    service = Service()
    batch = [delivery("1", "m1"), delivery("2", "m2")]
    await service.take(batch)
    await service.take([*batch, delivery("3", "m3")])
    published = apart(service.publisher.published)
    first, again = published[:2], published[2:4]
    assert first == again
    assert sent(published[4:]) == [("chat.room", b"3", 3)]
    assert (service.counts.appended["chat"], service.counts.duplicates["chat"]) == (3, 2)


async def test_a_message_id_used_again_sends_what_was_stored_under_it() -> None:
    service = Service()
    await service.take([delivery("1", "m1")])
    await service.take([delivery("2", "m1")])
    assert sent(service.publisher.published) == [("chat.room", b"1", 1)] * 2


async def test_while_the_store_fails_the_batch_is_held_and_nothing_is_sent() -> None:
    service = Service()
    service.store.fail = StoreUnavailableError("the disk is full")
    async with asyncio.TaskGroup() as group:
        with capture_logs() as logs:
            group.create_task(service.handle([delivery("1"), delivery("2")]))
            await service.store_fails(times=3)
            assert service.publisher.calls == []
            service.store.fail = None
    assert sent(service.publisher.published) == [("chat.room", b"1", 1), ("chat.room", b"2", 2)]
    assert logs[0] == {
        "event": "batch_held",
        "log_level": "warning",
        "step": "append",
        "queue": QUEUE,
        "attempt": 1,
        "reason": "the disk is full",
    }


@pytest.mark.parametrize("error", [BrokerUnavailableError("gone"), PublishRejectedError("no")])
async def test_what_the_broker_did_not_confirm_is_sent_again_and_not_stored_again(error: Exception) -> None:
    service = Service()
    service.publisher.failures.extend([error, None])
    service.publisher.failures_after.extend([error])
    await service.take([delivery("1"), delivery("2")])  # without message ids: a second append would show
    assert sent(service.publisher.published) == [("chat.room", b"1", 1), ("chat.room", b"2", 2)] * 2
    assert (await service.stream()).top == 2
    assert service.counts.egress_failures == 2


async def test_poison_in_a_batch_is_dead_lettered_and_disturbs_no_neighbour() -> None:
    service = Service()
    poison = delivery("secret, no JSON", "m2", **{"tag-k": "v"})
    with capture_logs() as logs:
        await service.take([delivery("1", "m1"), poison, delivery("3", "m3")])
    letter, *publications = service.publisher.published
    assert sent(publications) == [("chat.room", b"1", 1), ("chat.room", b"3", 2)]
    assert (letter.exchange, letter.routing_key, letter.body) == ("warren.dead", "chat.room", poison.body)
    assert (letter.persistent, letter.message_id, letter.headers["tag-k"]) == (True, "m2", "v")
    assert str(letter.headers[REASON_HEADER]).startswith("bad_payload: ")
    assert letter.headers[SERVICE_HEADER] == "history"
    assert service.counts.rejected == {Reason.BAD_PAYLOAD: 1}
    (entry,) = [entry for entry in logs if entry["event"] == "delivery_dead_lettered"]
    assert (entry["key"], entry["message_id"], entry["reason"]) == ("chat.room", "m2", "bad_payload")
    assert "secret" not in str(logs)


async def test_a_batch_of_nothing_but_poison_is_done_once_it_is_dead_lettered() -> None:
    service = Service()
    await service.take([delivery("1", key="gone.a"), delivery("1", key="live.a"), delivery("1", key="chat.*")])
    assert [message.exchange for message in service.publisher.published] == ["warren.dead"] * 3
    assert service.counts.rejected == {
        Reason.UNKNOWN_NAMESPACE: 1,
        Reason.NOT_DURABLE: 1,
        Reason.BAD_CHANNEL: 1,
    }
    assert service.store.size().streams == 0


async def test_many_bad_messages_are_logged_at_a_bounded_rate_and_counted_exactly() -> None:
    service = Service()
    with capture_logs() as logs:
        await service.take([delivery("no JSON") for _ in range(200)])
    assert (len(logs), service.counts.rejected) == (10, {Reason.BAD_PAYLOAD: 200})


async def test_nothing_is_stored_before_the_dead_letters_are_safe() -> None:
    service = Service(IMPATIENT)
    service.publisher.failures.append(BrokerUnavailableError("gone"))
    with pytest.raises(BatchGivenBackError):
        await service.take([delivery("1"), delivery("no JSON")])
    assert service.store.size().publications == 0
    assert service.counts.rejected == {}


async def test_a_dead_letter_the_broker_refuses_is_kept_without_its_headers() -> None:
    service = Service()
    service.publisher.refuses = lambda message: "tag-k" in message.headers and message.exchange == "warren.dead"
    await service.take([delivery("1"), delivery("no JSON", **{"tag-k": "v"}), delivery("nor this"), delivery("2")])
    letters = [message for message in service.publisher.published if message.exchange == "warren.dead"]
    assert [letter.body for letter in letters] == [b"nor this", b"no JSON"]
    assert str(letters[1].headers[REASON_HEADER]).startswith("bad_payload: ")
    assert sent(service.publisher.published[2:]) == [("chat.room", b"1", 1), ("chat.room", b"2", 2)]
    assert (service.counts.rejected, service.counts.dead_letters_lost) == ({Reason.BAD_PAYLOAD: 2}, 0)


async def test_a_dead_letter_the_broker_refuses_in_every_form_does_not_stop_the_partition() -> None:
    service = Service()
    service.publisher.refuses = lambda message: message.exchange == "warren.dead"
    with capture_logs() as logs:
        await service.take([delivery("1"), delivery("no JSON", "m2")])
    assert sent(service.publisher.published) == [("chat.room", b"1", 1)]
    assert (service.counts.rejected, service.counts.dead_letters_lost) == ({Reason.BAD_PAYLOAD: 1}, 1)
    (entry,) = [entry for entry in logs if entry["event"] == "dead_letter_lost"]
    assert (entry["key"], entry["message_id"], entry["reason"]) == ("chat.room", "m2", "CC is no list")


async def test_a_dead_letter_waits_for_a_broker_that_is_away() -> None:
    service = Service()
    service.publisher.failures.extend([BrokerUnavailableError("gone")] * 20)
    await service.take([delivery("no JSON")])
    assert [message.body for message in service.publisher.published] == [b"no JSON"]


async def test_a_publication_the_broker_refuses_is_left_to_reads_and_stops_no_other() -> None:
    service = Service()
    service.publisher.refuses = lambda message: any(each.body == b"2" for each in apart([message]))
    with capture_logs() as logs:
        await service.take([delivery("1"), delivery("2"), delivery("3")])
    assert sent(service.publisher.published) == [("chat.room", b"1", 1), ("chat.room", b"3", 3)]
    assert ((await service.stream()).top, service.counts.unsent) == (3, 1)
    (entry,) = [entry for entry in logs if entry["event"] == "publication_not_sent"]
    assert (entry["key"], entry["offset"]) == ("chat.room", 2)


async def test_a_content_type_that_cannot_be_sent_again_is_left_out() -> None:
    service = Service()
    await service.take([Delivery("warren.publish", "chat.room", b"1", content_type="\\xff" * 100)])
    assert [message.content_type for message in service.publisher.published] == ["application/json"]


async def test_a_store_that_fails_for_too_long_gives_the_batch_back() -> None:
    service = Service(Patience(seconds=0.02, first_pause=0.001, longest_pause=0.002))
    service.store.fail = StoreUnavailableError("locked")
    with pytest.raises(BatchGivenBackError, match=r"append failed for 0\.02 s: locked"):
        await service.take([delivery("1")])
    assert service.publisher.calls == []
    assert service.counts.given_back == 1
    assert service.counts.store_failures > 1


async def test_what_the_store_fails_on_is_dead_lettered_after_a_few_tries_and_stops_no_other() -> None:
    service = Service()
    service.store.fails_on = b"2"
    with capture_logs() as logs:
        await service.take([delivery("1"), delivery("2", "m2"), delivery("3")])
    letter, *publications = service.publisher.published
    assert sent(publications) == [("chat.room", b"1", 1), ("chat.room", b"3", 2)]
    assert (letter.exchange, letter.body, letter.message_id) == ("warren.dead", b"2", "m2")
    assert letter.headers[REASON_HEADER] == "not_stored: the store fails on it with OverflowError"
    assert (service.counts.rejected, service.counts.appended) == ({Reason.NOT_STORED: 1}, {"chat": 2})
    assert service.store.crashes == 1 + 5
    assert [entry["event"] for entry in logs] == ["append_crashed", "delivery_dead_lettered"]


async def test_a_batch_the_store_fails_on_waits_for_a_store_that_then_goes_away() -> None:
    service = Service(Patience(seconds=0.02, first_pause=0.001, longest_pause=0.002))
    service.store.fails_on, service.store.then = b"1", StoreUnavailableError("locked")
    with pytest.raises(BatchGivenBackError):
        await service.take([delivery("1")])
    assert service.publisher.published == []


async def test_a_batch_given_back_after_its_append_finds_its_offsets_when_it_returns() -> None:
    service = Service(IMPATIENT)
    batch = [delivery("1", "m1"), delivery("2", "m2")]
    service.publisher.failures.append(BrokerUnavailableError("gone"))
    with pytest.raises(BatchGivenBackError):
        await service.take(batch)
    await service.take(batch)
    assert sent(service.publisher.published) == [("chat.room", b"1", 1), ("chat.room", b"2", 2)]
    assert (await service.stream()).top == 2


async def test_a_held_batch_can_be_cancelled() -> None:
    service = Service()
    service.store.fail = StoreUnavailableError("locked")
    task = asyncio.ensure_future(service.take([delivery("1")]))
    await service.store_fails(times=1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(service.ingest.drain(), 1)  # nothing is in hand any more


async def test_new_namespaces_decide_on_the_next_batch() -> None:
    service = Service()
    service.ingest.use(parse_namespaces("namespaces: [{name: live, history_size: 1, history_ttl: 1m}]"))
    await service.take([delivery("1", key="live.a"), delivery("1", key="chat.a")])
    assert service.counts.appended == {"live": 1}
    assert service.counts.rejected == {Reason.UNKNOWN_NAMESPACE: 1}


async def test_draining_finishes_the_batch_in_hand_and_takes_no_other() -> None:
    service = Service()
    service.publisher.gate.clear()
    async with asyncio.TaskGroup() as group:
        group.create_task(service.handle([delivery("1")]))
        await asyncio.wait_for(service.publisher.called.wait(), 5)
        draining = group.create_task(service.ingest.drain())
        late = asyncio.ensure_future(service.take([delivery("2")]))
        await asyncio.sleep(0)
        assert not draining.done()
        service.publisher.gate.set()
        await asyncio.wait_for(draining, 5)
        late.cancel()
        with pytest.raises(asyncio.CancelledError):
            await late
    assert sent(service.publisher.published) == [("chat.room", b"1", 1)]
    assert (await service.stream()).top == 1


async def test_draining_does_not_wait_for_ever() -> None:
    service = Service(drain=0.01)
    service.publisher.gate.clear()
    task = asyncio.ensure_future(service.take([delivery("1")]))
    await asyncio.wait_for(service.publisher.called.wait(), 5)
    with capture_logs() as logs:
        await asyncio.wait_for(service.ingest.drain(), 5)
    assert logs == [{"event": "batches_left_unfinished", "log_level": "warning", "batches": 1}]
    with pytest.raises(BatchGivenBackError):
        await service.take([delivery("2")])
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_is_stored_is_the_content_alone() -> None:
    service = Service()
    await service.take([delivery('{"a":1}', "m1", traceparent="00-" + "1" * 32 + "-" + "2" * 16 + "-00")])
    (stored,) = (await service.stream()).publications
    assert stored.content == Content(b'{"a":1}', False, "application/json")
