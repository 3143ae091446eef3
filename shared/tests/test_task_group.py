"""The task group of the bus: bus errors come as themselves, and no cancellation is lost."""

from __future__ import annotations

import asyncio

import pytest

from warren_shared.messaging.amqp.link import ConnectionLostError
from warren_shared.messaging.amqp.task_group import task_group
from warren_shared.messaging.port import BrokerUnavailableError, PublishRejectedError

DEADLINE = 5.0


async def failing(error: Exception) -> None:
    raise error


async def in_a_group(*tasks: Exception, block: Exception | None = None) -> None:
    async with task_group() as group:
        for error in tasks:
            group.create_task(failing(error))
        if block is not None:
            group.create_task(asyncio.Event().wait())
            raise block


async def test_a_bus_error_of_a_task_comes_as_itself() -> None:
    with pytest.raises(PublishRejectedError):
        await in_a_group(PublishRejectedError("no"), PublishRejectedError("neither"))


async def test_a_bus_error_of_the_block_comes_as_itself() -> None:
    with pytest.raises(ConnectionLostError):
        await in_a_group(block=ConnectionLostError())


async def test_another_error_is_not_hidden_behind_a_bus_error() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        await in_a_group(BrokerUnavailableError("gone"), ValueError("a bug"))

    assert caught.group_contains(ValueError)


async def test_a_failed_task_leaves_no_cancellation_behind() -> None:
    with pytest.raises(PublishRejectedError):
        await in_a_group(PublishRejectedError("no"))

    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_cancellation_that_comes_while_the_group_ends_is_not_lost() -> None:
    ending, may_end = asyncio.Event(), asyncio.Event()

    async def slow_to_end() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ending.set()
            await may_end.wait()

    async def run() -> None:
        async with task_group() as group:
            group.create_task(slow_to_end())
            await asyncio.sleep(0)
            raise ConnectionLostError

    task = asyncio.create_task(run())
    async with asyncio.timeout(DEADLINE):
        await ending.wait()
        task.cancel()
        may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await task
