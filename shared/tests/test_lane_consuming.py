"""A lane hands deliveries on in order, and takes no more than may be in hand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest
from eventually import eventually
from pamqp import commands, heartbeat

from warren_shared.messaging.lane.amqp_channel import LaneAmqpChannel
from warren_shared.messaging.port import (
    BrokerUnavailableError,
    Delivery,
)

from .amqp_peer import Peer
from .lane_setup import SOON, connected, with_channel


async def test_deliveries_of_one_read_come_together_and_in_order() -> None:
    async with with_channel(confirms=False) as (_, channel, peer):
        batches: list[Sequence[Delivery]] = []
        consuming = asyncio.create_task(channel.consume("q", batches.append, prefetch=10))
        await peer.read(commands.Basic.Qos)
        peer.send(1, commands.Basic.QosOk())
        await peer.read(commands.Basic.Consume)
        peer.send(1, commands.Basic.ConsumeOk("tag"))
        for tag in range(1, 6):
            peer.deliver(1, tag, b"%d" % tag)
        await asyncio.wait_for(consuming, SOON)
        await channel.ack(5)
        _, ack = await peer.read(commands.Basic.Ack)

    assert [delivery.tag for batch in batches for delivery in batch] == [1, 2, 3, 4, 5]
    assert (ack.delivery_tag, ack.multiple) == (5, True)


async def consuming(channel: LaneAmqpChannel, peer: Peer, *, prefetch: int) -> list[Delivery]:
    """Return what will have been delivered."""
    arrived: list[Delivery] = []
    starting = asyncio.create_task(channel.consume("q", arrived.extend, prefetch=prefetch))
    await peer.read(commands.Basic.Qos)
    peer.send(channel.number, commands.Basic.QosOk())
    await peer.read(commands.Basic.Consume)
    peer.send(channel.number, commands.Basic.ConsumeOk("tag"))
    await asyncio.wait_for(starting, SOON)
    return arrived


def more_than(arrived: Sequence[Delivery], count: int) -> Callable[[], bool]:
    return lambda: len(arrived) > count


async def test_nothing_more_is_read_while_too_much_waits_for_its_ack(monkeypatch: pytest.MonkeyPatch) -> None:
    size, most = 100_000, 1_000_000
    monkeypatch.setattr("warren_shared.messaging.lane.connection.MOST_IN_HAND", most)
    async with with_channel(confirms=False) as (_, channel, peer):
        arrived = await consuming(channel, peer, prefetch=500)
        for tag in range(1, 201):
            peer.deliver(1, tag, bytes(size))
        await eventually(lambda: len(arrived) * size >= most)
        await channel.ack(1)
        for _ in range(20):
            await asyncio.sleep(0.01)
        stopped = len(arrived)
        assert most <= stopped * size <= most + 3 * size  # one read may bring more than what was still allowed

        while len(arrived) < 200:
            stopped = len(arrived)
            await channel.ack(arrived[-1].tag)
            await eventually(more_than(arrived, stopped))
        await channel.ack(200)  # else the peer's end would not be noticed here, without heartbeats
    assert [delivery.tag for delivery in arrived] == list(range(1, 201))


@pytest.mark.parametrize("ending", ["close", "broker"])
async def test_an_amqp_channel_that_ends_with_much_in_hand_lets_the_others_be_read(
    monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    monkeypatch.setattr("warren_shared.messaging.lane.connection.MOST_IN_HAND", 1000)
    async with with_channel(confirms=False) as (connection, channel, peer):
        arrived = await consuming(channel, peer, prefetch=500)
        peer.deliver(1, 1, bytes(2000))
        await eventually(lambda: bool(arrived))
        if ending == "close":
            closing = asyncio.create_task(channel.close())
            await peer.read(commands.Channel.Close)
            peer.send(1, commands.Channel.CloseOk())
            await asyncio.wait_for(closing, SOON)
        else:
            await channel.ack(1)
            peer.deliver(1, 2, bytes(2000))
            await eventually(lambda: len(arrived) == 2)
            channel.fail(BrokerUnavailableError("gone"))

        opening = asyncio.create_task(connection.amqp_channel(confirms=False).__aenter__())
        await peer.open_channel()
        await asyncio.wait_for(opening, SOON)


async def test_a_connection_that_does_not_read_is_not_taken_for_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("warren_shared.messaging.lane.connection.MOST_IN_HAND", 1000)
    async with connected(heartbeat_seconds=1) as (connection, peer):
        entering = connection.amqp_channel(confirms=False)
        opening = asyncio.create_task(entering.__aenter__())
        await peer.open_channel()
        channel = await opening
        arrived = await consuming(channel, peer, prefetch=500)
        peer.deliver(1, 1, bytes(2000))
        await eventually(lambda: bool(arrived))
        for _ in range(8):  # heartbeats of ours, for longer than any silence is borne
            await peer.read(heartbeat.Heartbeat)
        assert not connection.is_closed

        await channel.ack(1)
        peer.deliver(1, 2, b"x")
        await eventually(lambda: len(arrived) == 2)
        peer.writer.transport.abort()
        await entering.__aexit__(None, None, None)


async def test_headers_that_wait_for_their_acks_count_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("warren_shared.messaging.lane.connection.MOST_IN_HAND", 1000)
    async with with_channel(confirms=False) as (connection, channel, peer):
        arrived = await consuming(channel, peer, prefetch=500)
        peer.deliver(1, 1, b"x", headers={"tag-long": "x" * 2000})
        await eventually(lambda: bool(arrived))
        paused = not connection._reading
        await channel.ack(1)
        assert (paused, connection._reading) == (True, True)


async def test_what_arrives_while_an_amqp_channel_closes_is_kept_by_nobody() -> None:
    async with with_channel(confirms=False) as (_, channel, peer):
        arrived = await consuming(channel, peer, prefetch=500)
        closing = asyncio.create_task(channel.close())
        await peer.read(commands.Channel.Close)
        peer.deliver(1, 1, b"too late")
        peer.send(1, commands.Channel.CloseOk())
        await asyncio.wait_for(closing, SOON)
    assert not arrived


async def test_a_cancelled_consumer_is_noticed_at_once() -> None:
    async with with_channel(confirms=False) as (_, channel, peer):
        ended = asyncio.create_task(channel.wait_ended())
        peer.send(1, commands.Basic.Cancel("tag", True))

        with pytest.raises(BrokerUnavailableError, match="cancelled the consumer"):
            await asyncio.wait_for(ended, SOON)


async def test_a_consumer_that_crashes_does_not_end_the_connection() -> None:
    seen: list[int] = []

    def crash_once(deliveries: Sequence[Delivery]) -> None:
        seen.extend(delivery.tag for delivery in deliveries)
        if seen == [1]:
            raise ValueError("a bug")

    async with with_channel(confirms=False) as (_, channel, peer):
        consuming = asyncio.create_task(channel.consume("q", crash_once))
        await peer.read(commands.Basic.Consume)
        peer.send(1, commands.Basic.ConsumeOk("tag"))
        await asyncio.wait_for(consuming, SOON)
        peer.deliver(1, 1, b"first")
        await eventually(lambda: seen == [1])
        peer.deliver(1, 2, b"second")
        await eventually(lambda: seen == [1, 2])
