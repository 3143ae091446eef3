"""Calls of programs that may not be there, on a real broker and with both drivers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aio_pika
import pytest
from aio_pika.abc import AbstractIncomingMessage
from staging.bus import DEADLINE, running

from warren_shared.messaging.amqp.bus import AmqpBus
from warren_shared.messaging.amqp.driver import Connect
from warren_shared.messaging.port import (
    BrokerUnavailableError,
    Caller,
    DeadlineExceededError,
    Outgoing,
    UnroutableError,
    UnsendableMessageError,
)

pytestmark = pytest.mark.broker
Answer = Callable[[AbstractIncomingMessage], Awaitable[None]]


def call(body: bytes = b"1", key: str = "app.m") -> Outgoing:
    return Outgoing("warren.rpc", key, body, headers={"x-warren-user": "é"})


@asynccontextmanager
async def calling(connect: Connect, url: str) -> AsyncIterator[tuple[AmqpBus, Caller]]:
    callers: list[Caller] = []
    async with running(connect, url, lambda bus: callers.append(bus.open_calls())) as bus:
        yield bus, callers[0]


@asynccontextmanager
async def backend(
    url: str, answer: Callable[[AbstractIncomingMessage, aio_pika.abc.AbstractExchange], Awaitable[None]]
) -> AsyncIterator[None]:
    """Take the calls of ``app.m`` and have ``answer`` deal with each."""
    async with await aio_pika.connect(url) as connection:
        amqp_channel = await connection.channel()
        replies = await amqp_channel.get_exchange("warren.replies", ensure=False)
        queue = await amqp_channel.declare_queue("app.m", exclusive=True)
        await queue.bind("warren.rpc", "app.m")

        async def take(message: AbstractIncomingMessage) -> None:
            async with message.process():
                await answer(message, replies)

        await queue.consume(take)
        yield


async def echo(message: AbstractIncomingMessage, replies: aio_pika.abc.AbstractExchange) -> None:
    reply = aio_pika.Message(message.body, correlation_id=message.correlation_id, headers={"x": 7})
    await replies.publish(reply, message.reply_to or "")


async def silence(_message: AbstractIncomingMessage, _replies: aio_pika.abc.AbstractExchange) -> None:
    """Answer nothing."""


@pytest.mark.parametrize("size", [0, 1, 1_000_000])
async def test_a_call_is_answered_with_body_and_headers(broker_url: str, connect: Connect, size: int) -> None:
    async with calling(connect, broker_url) as (_, caller), backend(broker_url, echo):
        reply = await caller.call(call(b"x" * size), deadline=DEADLINE)

    assert (reply.body, reply.headers["x"]) == (b"x" * size, 7)


async def test_what_answers_is_told_who_asks_and_until_when(broker_url: str, connect: Connect) -> None:
    asked: list[AbstractIncomingMessage] = []

    async def note(message: AbstractIncomingMessage, replies: aio_pika.abc.AbstractExchange) -> None:
        asked.append(message)
        await echo(message, replies)

    async with calling(connect, broker_url) as (_, caller), backend(broker_url, note):
        await caller.call(call(), deadline=DEADLINE)
        await caller.call(call(), deadline=DEADLINE)

    assert [message.expiration for message in asked] == [DEADLINE, DEADLINE]
    assert asked[0].headers["x-warren-user"] == "é"
    ids = {message.correlation_id for message in asked}
    assert len(ids) == 2
    assert all(len(each or "") == 32 for each in ids)


async def test_calls_in_work_at_the_same_time_get_their_own_answers(broker_url: str, connect: Connect) -> None:
    bodies = [str(number).encode() for number in range(200)]
    async with calling(connect, broker_url) as (_, caller), backend(broker_url, echo):
        replies = await asyncio.gather(*(caller.call(call(body), deadline=DEADLINE) for body in bodies))

    assert [reply.body for reply in replies] == bodies


async def test_a_call_that_no_queue_takes_fails_long_before_its_deadline(broker_url: str, connect: Connect) -> None:
    async with calling(connect, broker_url) as (bus, caller):
        began = time.monotonic()
        outcomes = await asyncio.gather(
            *(caller.call(call(key=f"app.nobody{number}"), deadline=DEADLINE) for number in range(50)),
            return_exceptions=True,
        )
        assert [type(outcome) for outcome in outcomes] == [UnroutableError] * 50
        assert time.monotonic() - began < DEADLINE / 2
        assert bus.ready


async def test_calls_with_and_without_a_queue_are_told_apart(broker_url: str, connect: Connect) -> None:
    async with calling(connect, broker_url) as (_, caller), backend(broker_url, echo):
        outcomes = await asyncio.gather(
            *(caller.call(call(key=("app.m", "app.nobody")[n % 2]), deadline=DEADLINE) for n in range(100)),
            return_exceptions=True,
        )

    assert [isinstance(outcome, UnroutableError) for outcome in outcomes] == [n % 2 == 1 for n in range(100)]


async def test_a_call_nobody_answers_ends_at_its_deadline(broker_url: str, connect: Connect) -> None:
    async with calling(connect, broker_url) as (_, caller), backend(broker_url, silence):
        with pytest.raises(DeadlineExceededError):
            await caller.call(call(), deadline=0.2)


async def test_an_answer_may_come_through_the_default_exchange(broker_url: str, connect: Connect) -> None:
    async def answer(message: AbstractIncomingMessage, _replies: aio_pika.abc.AbstractExchange) -> None:
        default = message.channel
        await default.basic_publish(
            b"2",
            routing_key=message.reply_to or "",
            properties=aio_pika.Message(b"", correlation_id=message.correlation_id).properties,
        )

    async with calling(connect, broker_url) as (_, caller), backend(broker_url, answer):
        assert (await caller.call(call(), deadline=DEADLINE)).body == b"2"


async def test_answers_nobody_waits_for_are_dropped(broker_url: str, connect: Connect) -> None:
    async def thrice(message: AbstractIncomingMessage, replies: aio_pika.abc.AbstractExchange) -> None:
        await replies.publish(aio_pika.Message(b"forged", correlation_id="1"), message.reply_to or "")
        await replies.publish(aio_pika.Message(b"anonymous"), message.reply_to or "")
        await echo(message, replies)
        await echo(message, replies)

    async with calling(connect, broker_url) as (_, caller), backend(broker_url, thrice):
        for body in (b"1", b"2", b"3"):
            assert (await caller.call(call(body), deadline=DEADLINE)).body == body


async def test_a_call_that_amqp_cannot_carry_says_so_and_the_next_is_answered(
    broker_url: str, connect: Connect
) -> None:
    async with calling(connect, broker_url) as (_, caller), backend(broker_url, echo):
        with pytest.raises(UnsendableMessageError):
            await caller.call(call(key="app." + "x" * 300), deadline=DEADLINE)
        assert (await caller.call(call(), deadline=DEADLINE)).body == b"1"


async def test_without_a_connection_a_call_fails_at_once(broker_url: str, connect: Connect) -> None:
    async with calling(connect, broker_url) as (_, caller):
        pass
    with pytest.raises(BrokerUnavailableError):
        await caller.call(call(), deadline=DEADLINE)
