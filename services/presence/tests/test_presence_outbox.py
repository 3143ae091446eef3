"""Announcements on their way: order, confirms, retries, cancelling."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from warren_presence.handlers.outbox import Outbox
from warren_shared.messaging.port import (
    BrokerUnavailableError,
    DeadlineExceededError,
    Outgoing,
    PublishRejectedError,
    UnsendableMessageError,
)

from .fakes import FakePublisher


def message(number: int) -> Outgoing:
    return Outgoing("warren.deliver", f"chat.{number}", b"{}")


def outbox_with(publisher: FakePublisher, numbers: range) -> Outbox:
    outbox = Outbox(publisher, "warren.presence.0")
    for number in numbers:
        outbox.add(message(number))
    return outbox


async def test_everything_is_published_in_order_and_in_chunks() -> None:
    publisher = FakePublisher()
    outbox = outbox_with(publisher, range(600))

    await outbox.flush()

    assert publisher.confirmed == [message(number) for number in range(600)]
    assert publisher.attempts == 3
    assert len(outbox) == 0


@pytest.mark.parametrize("error", [BrokerUnavailableError, DeadlineExceededError, PublishRejectedError])
async def test_what_is_not_confirmed_is_published_again(error: type[BrokerUnavailableError]) -> None:
    publisher = FakePublisher()
    publisher.failures = [error("not now"), error("not now")]
    outbox = outbox_with(publisher, range(3))

    with capture_logs() as logs:
        await outbox.flush()

    assert publisher.confirmed == [message(0), message(1), message(2)]
    assert outbox.retries == 2
    assert [line["event"] for line in logs] == ["announcements_delayed"]


async def test_what_a_cancelled_flush_leaves_goes_out_with_the_next() -> None:
    publisher = FakePublisher()
    publisher.gate.clear()
    outbox = outbox_with(publisher, range(2))
    flush = asyncio.create_task(outbox.flush())
    await publisher.attempted.wait()
    flush.cancel()
    with pytest.raises(asyncio.CancelledError):
        await flush

    publisher.gate.set()
    outbox.add(message(2))
    await outbox.flush()

    assert publisher.confirmed == [message(0), message(1), message(2)]


async def test_a_broker_that_confirms_nothing_for_long_gets_the_batch_back_and_nothing_is_forgotten() -> None:
    publisher = FakePublisher()
    publisher.up = False
    outbox = Outbox(publisher, "warren.presence.0", hold=0.0)
    outbox.add(message(0))
    with pytest.raises(BrokerUnavailableError):
        await outbox.flush()

    publisher.up = True
    outbox.add(message(1))
    await outbox.flush()

    assert publisher.confirmed == [message(0), message(1)]


async def test_clearing_ends_a_flush_that_cannot_get_on() -> None:
    publisher = FakePublisher()
    publisher.up = False
    outbox = outbox_with(publisher, range(2))
    flush = asyncio.create_task(outbox.flush())
    await publisher.attempted.wait()

    outbox.clear()

    async with asyncio.timeout(10):
        await flush
    assert publisher.confirmed == []


async def test_what_is_added_after_clearing_under_a_flush_is_not_lost() -> None:
    publisher = FakePublisher()
    publisher.gate.clear()
    outbox = outbox_with(publisher, range(2))
    flush = asyncio.create_task(outbox.flush())
    await publisher.attempted.wait()

    outbox.clear()
    outbox.add(message(7))
    publisher.gate.set()
    await flush

    assert message(7) in publisher.confirmed
    assert len(outbox) == 0


async def test_a_message_the_broker_never_takes_is_dropped_and_stops_no_other() -> None:
    publisher = FakePublisher()
    publisher.never = message(1)
    outbox = outbox_with(publisher, range(3))

    with capture_logs() as logs:
        await outbox.flush()

    assert publisher.confirmed == [message(0), message(2)]
    assert (len(outbox), outbox.refused) == (0, 1)
    assert [(line["event"], line["reason"]) for line in logs] == [("message_refused", "CC is no list")]


async def test_a_message_refused_in_company_of_the_culprit_is_sent_all_the_same() -> None:
    publisher = FakePublisher()
    publisher.failures = [UnsendableMessageError("another's"), UnsendableMessageError("another's")]
    outbox = outbox_with(publisher, range(2))

    await outbox.flush()

    assert publisher.confirmed == [message(0), message(1)]
    assert outbox.refused == 0
