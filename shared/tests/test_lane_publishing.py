"""A lane's publishers wait for confirms, within their deadlines and in order, and hold nobody else up."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest
from eventually import eventually
from pamqp import body, commands

from warren_shared.messaging.lane.amqp_channel import LaneAmqpChannel
from warren_shared.messaging.lane.errors import AmqpChannelClosedError
from warren_shared.messaging.lane.gate import Obstacle
from warren_shared.messaging.port import (
    BrokerUnavailableError,
    DeadlineExceededError,
    Outgoing,
    PublishRejectedError,
)

from .lane_setup import SOON, connected, numbered, with_channel


async def test_confirms_in_ranges_settle_what_waits() -> None:
    async with with_channel() as (_, channel, peer):
        publishing = [asyncio.create_task(channel.publish(each, deadline=SOON)) for each in numbered(5)]
        for _ in range(5):
            await peer.read(commands.Basic.Publish)
        peer.send(1, commands.Basic.Ack(4, True), commands.Basic.Ack(5, False))

        await asyncio.wait_for(asyncio.gather(*publishing), SOON)


async def test_one_refused_message_fails_the_burst_it_was_part_of() -> None:
    async with with_channel() as (_, channel, peer):
        publishing = asyncio.create_task(channel.publish_all(numbered(3), deadline=SOON))
        for _ in range(3):
            await peer.read(commands.Basic.Publish)
        peer.send(1, commands.Basic.Nack(2, False), commands.Basic.Ack(3, True))

        with pytest.raises(PublishRejectedError):
            await publishing


async def test_a_message_that_is_not_confirmed_ends_at_its_deadline() -> None:
    async with with_channel() as (_, channel, peer):
        with pytest.raises(DeadlineExceededError):
            await channel.publish(numbered(1)[0], deadline=0.05)
        later = asyncio.create_task(channel.publish(numbered(1)[0], deadline=SOON))
        await peer.read(commands.Basic.Publish)
        await peer.read(commands.Basic.Publish)
        peer.send(1, commands.Basic.Ack(2, True))  # the late one's confirm harms nobody

        await asyncio.wait_for(later, SOON)


async def test_deadlines_end_in_their_own_order_whatever_order_the_messages_went_out_in() -> None:
    ended: list[float] = []

    async def publish(channel: LaneAmqpChannel, deadline: float) -> None:
        with pytest.raises(DeadlineExceededError):
            await channel.publish(numbered(1)[0], deadline=deadline)
        ended.append(deadline)

    async with with_channel() as (_, channel, _peer):
        async with asyncio.timeout(SOON), asyncio.TaskGroup() as group:
            for deadline in (0.4, 0.1, 0.3, 0.2):
                group.create_task(publish(channel, deadline))
        with pytest.raises(DeadlineExceededError):
            await channel.publish(numbered(1)[0], deadline=0.05)

    assert ended == [0.1, 0.2, 0.3, 0.4]


async def test_a_broker_that_confirms_nothing_is_sent_only_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("warren_shared.messaging.lane.amqp_channel.MOST_UNCONFIRMED", 3)
    async with with_channel() as (_, channel, peer):
        for _ in range(3):
            with pytest.raises(DeadlineExceededError):
                await channel.publish(numbered(1)[0], deadline=0.01)
        with pytest.raises(BrokerUnavailableError, match="confirms nothing"):
            await channel.publish(numbered(1)[0], deadline=SOON)
        peer.send(1, commands.Basic.Ack(3, True))
        await eventually(lambda: not len(channel._confirms))

        again = asyncio.create_task(channel.publish(numbered(1)[0], deadline=SOON))
        for _ in range(4):
            await peer.read(commands.Basic.Publish)
        peer.send(1, commands.Basic.Ack(4))
        await asyncio.wait_for(again, SOON)


async def test_a_message_that_was_given_up_is_not_kept_until_its_confirm() -> None:
    class Message(Outgoing):
        """One whose end can be seen."""

    async with with_channel() as (_, channel, _):
        message = Message("x", "k", b"x")
        alive = weakref.ref(message)
        giving_up = asyncio.gather(channel.publish(message, deadline=0.05), return_exceptions=True)
        assert [type(outcome) for outcome in await giving_up] == [DeadlineExceededError]
        del message, giving_up
        await asyncio.sleep(0)  # the loop itself lets go of it
        gc.collect()
        assert alive() is None


async def test_a_blocked_broker_holds_publishers_back_in_order_and_within_their_deadline() -> None:
    async with with_channel() as (connection, channel, peer):
        peer.send(0, commands.Connection.Blocked("memory"))
        await eventually(lambda: Obstacle.ALARM in connection.gate.obstacles)
        impatient = asyncio.create_task(channel.publish(Outgoing("x", "impatient", b""), deadline=0.05))
        patient = [asyncio.create_task(channel.publish(each, deadline=SOON)) for each in numbered(3)]
        with pytest.raises(DeadlineExceededError):
            await impatient
        peer.send(0, commands.Connection.Unblocked())

        seen = [(await peer.read(body.ContentBody))[1].value for _ in range(3)]
        peer.send(1, commands.Basic.Ack(3, True))
        await asyncio.wait_for(asyncio.gather(*patient), SOON)
    assert seen == [b"0", b"1", b"2"]  # and the impatient one was never sent


async def test_a_peer_that_does_not_read_stops_publishers_before_much_is_held() -> None:
    async with with_channel() as (connection, channel, _):
        big = [Outgoing("x", "k", b"x" * 100_000) for _ in range(1000)]
        with pytest.raises(DeadlineExceededError):
            await channel.publish_all(big, deadline=0.3)

        transport = connection._transport
        assert transport is not None
        assert Obstacle.SOCKET in connection.gate.obstacles
        assert transport.get_write_buffer_size() + connection._outgoing_bytes < 1_000_000


async def test_a_large_body_is_cut_to_the_agreed_frame_size_and_put_together_again() -> None:
    async with connected(frame_max=4096) as (connection, peer):
        entering = connection.amqp_channel(confirms=False)
        opening = asyncio.create_task(entering.__aenter__())
        number = await peer.open_channel()
        channel = await opening
        content = bytes(range(256)) * 64
        await channel.write(Outgoing("x", "k", content), deadline=SOON)
        parts, size = [], 0
        while size < len(content):
            _, part = await peer.read(body.ContentBody)
            assert len(part.value) <= 4096 - 8
            parts.append(part.value)
            size += len(part.value)
        assert (number, b"".join(parts)) == (1, content)
        peer.writer.transport.abort()
        await entering.__aexit__(None, None, None)


async def test_a_cancelled_publisher_disturbs_nobody() -> None:
    async with with_channel() as (_, channel, peer):
        cancelled = asyncio.create_task(channel.publish(numbered(1)[0], deadline=SOON))
        other = asyncio.create_task(channel.publish(numbered(1)[0], deadline=SOON))
        await peer.read(commands.Basic.Publish)
        cancelled.cancel()
        await peer.read(commands.Basic.Publish)
        peer.send(1, commands.Basic.Ack(2, True))

        await asyncio.wait_for(other, SOON)
        assert (await asyncio.gather(cancelled, return_exceptions=True))[0].__class__ is asyncio.CancelledError


async def test_a_publisher_cancelled_at_the_gate_leaves_nothing_behind() -> None:
    async with with_channel() as (connection, channel, peer):
        connection.gate.put(Obstacle.ALARM)
        waiting = asyncio.create_task(channel.publish_all(numbered(2), deadline=SOON))
        await asyncio.sleep(0)
        waiting.cancel()
        assert isinstance((await asyncio.gather(waiting, return_exceptions=True))[0], asyncio.CancelledError)
        connection.gate.clear(Obstacle.ALARM)

        other = asyncio.create_task(channel.publish(numbered(1)[0], deadline=SOON))
        await peer.read(commands.Basic.Publish)
        peer.send(1, commands.Basic.Ack(1, False))
        await asyncio.wait_for(other, SOON)


async def test_an_amqp_channel_that_closes_while_its_publishers_are_held_back_holds_up_no_other() -> None:
    async with with_channel() as (connection, closing, peer):
        entering = connection.amqp_channel(confirms=True)
        opening = asyncio.create_task(entering.__aenter__())
        await peer.open_channel(confirms=True)
        other = await opening
        peer.send(0, commands.Connection.Blocked("memory"))
        await eventually(lambda: Obstacle.ALARM in connection.gate.obstacles)
        failing = asyncio.create_task(closing.publish(Outgoing("x", "k", b"1"), deadline=SOON))
        going_on = asyncio.create_task(other.publish(Outgoing("x", "k", b"2"), deadline=SOON))
        peer.send(closing.number, commands.Channel.Close(404, "NOT_FOUND", 60, 40))
        await eventually(lambda: closing.is_closed)
        peer.send(0, commands.Connection.Unblocked())

        with pytest.raises(AmqpChannelClosedError):
            await failing
        assert (await peer.read(body.ContentBody))[1].value == b"2"
        peer.send(other.number, commands.Basic.Ack(1, False))
        await asyncio.wait_for(going_on, SOON)
        peer.writer.transport.abort()
        await entering.__aexit__(None, None, None)


async def test_an_amqp_channel_that_was_told_to_stop_holds_up_no_other_once_it_is_closed() -> None:
    async with with_channel() as (connection, stopped, peer):
        peer.send(stopped.number, commands.Channel.Flow(False))
        await eventually(lambda: Obstacle.FLOW in connection.gate.obstacles)
        peer.send(stopped.number, commands.Channel.Close(404, "NOT_FOUND", 60, 40))
        await eventually(lambda: stopped.is_closed)
        assert connection.gate.free


async def test_one_amqp_channel_that_may_go_on_does_not_speak_for_another() -> None:
    async with with_channel() as (connection, _, peer):
        entering = connection.amqp_channel(confirms=True)
        opening = asyncio.create_task(entering.__aenter__())
        number = await peer.open_channel(confirms=True)
        await opening
        peer.send(1, commands.Channel.Flow(False))
        peer.send(number, commands.Channel.Flow(False), commands.Channel.Flow(True))
        for _ in range(3):
            await peer.read(commands.Channel.FlowOk)
        assert not connection.gate.free
        peer.send(1, commands.Channel.Flow(True))
        await eventually(lambda: connection.gate.free)
        peer.writer.transport.abort()
        await entering.__aexit__(None, None, None)
