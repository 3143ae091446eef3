"""The exchange before the durable partitions: what it cannot route, and one that another version made."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel

from warren_shared.messaging.port import BusError
from warren_shared.runtime.topology_command import apply_topology
from warren_shared.topology.catalogue import DEFAULT_PARTITIONS, ExchangeName, QueueName, history_partition

pytestmark = pytest.mark.broker


@asynccontextmanager
async def amqp_channel_of(url: str) -> AsyncIterator[AbstractChannel]:
    async with await aio_pika.connect(url) as connection:
        yield await connection.channel()


async def test_a_durable_publication_that_no_partition_takes_is_kept_as_a_dead_letter(broker_url: str) -> None:
    async with amqp_channel_of(broker_url) as amqp_channel:
        for index in range(DEFAULT_PARTITIONS):
            queue = await amqp_channel.get_queue(history_partition(index))
            await queue.unbind(ExchangeName.HISTORY, "1")
        publish = await amqp_channel.get_exchange(ExchangeName.PUBLISH)
        await publish.publish(aio_pika.Message(b"1"), "chat.a")

        letter = await (await amqp_channel.get_queue(QueueName.DEAD)).get(timeout=5)

    assert letter is not None
    assert (letter.routing_key, letter.body) == ("chat.a", b"1")


async def test_an_exchange_that_another_version_made_is_named_together_with_what_to_do(broker_url: str) -> None:
    async with amqp_channel_of(broker_url) as amqp_channel:
        await amqp_channel.exchange_delete(ExchangeName.HISTORY)
        await amqp_channel.declare_exchange(ExchangeName.HISTORY, "x-consistent-hash", durable=True)
        try:
            with pytest.raises(BusError) as caught:
                await apply_topology(broker_url)
        finally:
            await amqp_channel.exchange_delete(ExchangeName.HISTORY)

    assert "'warren.history'" in str(caught.value)
    assert "delete it, a queue once it is empty, and apply the topology again" in str(caught.value)
    assert "\n" not in str(caught.value)
    await apply_topology(broker_url)
