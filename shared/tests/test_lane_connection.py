"""A lane keeps its promises against a peer that misbehaves, is slow, or goes away."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from eventually import eventually
from pamqp import body, commands, heartbeat

from warren_shared.messaging.lane.amqp_channel import LaneAmqpChannel
from warren_shared.messaging.lane.connection import LaneConnection, connect
from warren_shared.messaging.lane.errors import AmqpChannelClosedError, ConnectionClosedError
from warren_shared.messaging.lane.gate import Obstacle
from warren_shared.messaging.port import (
    BrokerUnavailableError,
    DeadlineExceededError,
    Delivery,
    Outgoing,
    PublishRejectedError,
)
from warren_shared.topology.declarations import Binding

from .amqp_peer import Listening, Peer

SOON = 5.0


@asynccontextmanager
async def connected(
    *, frame_max: int = 131072, heartbeat_seconds: int = 0, name: str = "test"
) -> AsyncIterator[tuple[LaneConnection, Peer]]:
    async with Listening.anywhere() as listening:
        opening = asyncio.create_task(connect(listening.url, name=name, heartbeat=60))
        peer = await listening.peer()
        await peer.accept(frame_max=frame_max, heartbeat_seconds=heartbeat_seconds)
        connection = await opening
        try:
            yield connection, peer
        finally:
            peer.writer.transport.abort()
            await connection.wait_closed()


@asynccontextmanager
async def with_channel(*, confirms: bool = True) -> AsyncIterator[tuple[LaneConnection, LaneAmqpChannel, Peer]]:
    async with connected() as (connection, peer):
        entering = connection.amqp_channel(confirms=confirms)
        opening = asyncio.create_task(entering.__aenter__())
        await peer.open_channel(confirms=confirms)
        channel = await opening
        try:
            yield connection, channel, peer
        finally:
            peer.writer.transport.abort()
            await connection.wait_closed()
            await entering.__aexit__(None, None, None)


def numbered(count: int, size: int = 1) -> list[Outgoing]:
    return [Outgoing("x", "k", b"%d" % n * size) for n in range(count)]


async def test_the_name_the_login_and_the_virtual_host_are_told() -> None:
    async with Listening.anywhere() as listening:
        opening = asyncio.create_task(connect(listening.url, name="warren-test publish", heartbeat=7))
        peer = await listening.peer()
        await peer.reader.readexactly(8)
        peer.send(0, commands.Connection.Start(0, 9, {}, "PLAIN", "en_US"))
        _, start_ok = await peer.read(commands.Connection.StartOk)
        peer.send(0, commands.Connection.Tune(0, 0, 60))
        _, tune_ok = await peer.read(commands.Connection.TuneOk)
        _, opened = await peer.read(commands.Connection.Open)
        peer.send(0, commands.Connection.OpenOk())
        connection = await opening
        peer.writer.transport.abort()
        await connection.wait_closed()

    assert (start_ok.mechanism, start_ok.response) == ("PLAIN", "\0user\0secret")
    properties: dict[str, Any] = dict(start_ok.client_properties or {})
    assert properties["connection_name"] == "warren-test publish"
    assert properties["capabilities"]["connection.blocked"]
    assert (tune_ok.heartbeat, tune_ok.frame_max, opened.virtual_host) == (7, 131072, "v")


async def test_a_refused_login_tells_the_brokers_reason() -> None:
    async with Listening.anywhere() as listening:
        opening = asyncio.create_task(connect(listening.url, name="test", heartbeat=60))
        peer = await listening.peer()
        await peer.reader.readexactly(8)
        peer.send(0, commands.Connection.Start(0, 9, {}, "PLAIN", "en_US"))
        await peer.read(commands.Connection.StartOk)
        peer.send(0, commands.Connection.Close(403, "ACCESS_REFUSED", 0, 0))

        with pytest.raises(ConnectionClosedError, match="403 ACCESS_REFUSED") as refused:
            await opening
    assert refused.value.code == 403


@pytest.mark.parametrize("url", ["http://x/", "amqp://x/?auth=ntlm", "amqp://x:port/"])
async def test_a_url_that_is_wrong_is_refused(url: str) -> None:
    with pytest.raises(BrokerUnavailableError):
        await connect(url, name="test", heartbeat=60)


async def test_a_mechanism_the_broker_does_not_offer_is_not_tried() -> None:
    async with Listening.anywhere() as listening:
        opening = asyncio.create_task(connect(listening.url + "?auth=external", name="test", heartbeat=60))
        peer = await listening.peer()
        await peer.reader.readexactly(8)
        peer.send(0, commands.Connection.Start(0, 9, {}, "PLAIN", "en_US"))

        with pytest.raises(BrokerUnavailableError, match="no EXTERNAL login"):
            await opening


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
        await eventually(lambda: len(arrived) * size > most)
        await channel.ack(1)
        for _ in range(20):
            await asyncio.sleep(0.01)
        stopped = len(arrived)
        assert most < stopped * size <= most + 3 * size  # one read may bring more than what was still allowed

        while len(arrived) < 200:
            stopped = len(arrived)
            await channel.ack(arrived[-1].tag)
            await eventually(more_than(arrived, stopped))
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


async def test_a_closed_amqp_channel_fails_everything_on_it_with_the_brokers_code() -> None:
    async with with_channel() as (connection, channel, peer):
        publishing = asyncio.create_task(channel.publish(numbered(1)[0], deadline=SOON))
        binding = asyncio.create_task(channel.bind([Binding("x", "q", "k"), Binding("x", "q", "l")]))
        await peer.read(commands.Queue.Bind)
        peer.send(1, commands.Channel.Close(404, "NOT_FOUND", 50, 20))
        await peer.read(commands.Channel.CloseOk)

        for failing in (publishing, binding, asyncio.create_task(channel.wait_ended())):
            with pytest.raises(AmqpChannelClosedError, match="404 NOT_FOUND"):
                await failing
        with pytest.raises(AmqpChannelClosedError):
            await channel.publish(numbered(1)[0], deadline=SOON)
        assert channel.is_closed
        assert not connection.is_closed


async def test_a_cancelled_consumer_is_noticed_at_once() -> None:
    async with with_channel(confirms=False) as (_, channel, peer):
        ended = asyncio.create_task(channel.wait_ended())
        peer.send(1, commands.Basic.Cancel("tag", True))

        with pytest.raises(BrokerUnavailableError, match="cancelled the consumer"):
            await asyncio.wait_for(ended, SOON)


async def test_a_connection_the_broker_closes_fails_all_who_wait_and_is_answered() -> None:
    async with with_channel() as (connection, channel, peer):
        publishing = asyncio.create_task(channel.publish(numbered(1)[0], deadline=SOON))
        await peer.read(commands.Basic.Publish)
        peer.send(0, commands.Connection.Close(320, "CONNECTION_FORCED", 0, 0))
        await peer.read(commands.Connection.CloseOk)

        with pytest.raises(ConnectionClosedError, match="320 CONNECTION_FORCED"):
            await publishing
        assert connection.is_closed


async def test_what_is_no_amqp_closes_the_connection_with_a_reason() -> None:
    async with connected() as (connection, peer):
        peer.writer.write(b"\x01\x00\x01\x00\x00\x00\x04\x00\x3c\x00\x3c\x00")
        _, close = await peer.read(commands.Connection.Close)

        assert (close.reply_code, "does not end" in (close.reply_text or "")) == (501, True)
        assert connection.is_closed


async def test_an_answer_nobody_asked_for_closes_the_connection() -> None:
    async with with_channel() as (connection, _, peer):
        peer.send(1, commands.Queue.BindOk())
        _, close = await peer.read(commands.Connection.Close)

        assert close.reply_code == 505
        assert connection.is_closed


async def test_heartbeats_are_sent_and_a_peer_without_any_is_given_up() -> None:
    async with connected(heartbeat_seconds=1) as (connection, peer):
        await peer.read(heartbeat.Heartbeat)
        await peer.read(heartbeat.Heartbeat)

        await asyncio.wait_for(connection.wait_closed(), SOON)
        with pytest.raises(BrokerUnavailableError, match="heartbeat"):
            async with connection.amqp_channel(confirms=False):
                pass


async def test_closing_is_agreed_on_and_a_silent_peer_does_not_hold_it_up() -> None:
    async with connected() as (connection, peer):
        closing = asyncio.create_task(connection.close())
        await peer.read(commands.Connection.Close)
        peer.send(0, commands.Connection.CloseOk())
        await asyncio.wait_for(closing, SOON)
    async with connected() as (connection, _):
        await asyncio.wait_for(connection.close(), SOON)
        assert connection.is_closed


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


async def test_numbers_of_amqp_channels_are_used_again_and_run_out() -> None:
    async with connected() as (connection, peer):
        for _ in range(2):
            entering = connection.amqp_channel(confirms=False)
            opening = asyncio.create_task(entering.__aenter__())
            assert await peer.open_channel() == 1
            await opening
            leaving = asyncio.create_task(entering.__aexit__(None, None, None))
            await peer.read(commands.Channel.Close)
            peer.send(1, commands.Channel.CloseOk())
            await leaving
        connection._numbers = range(1, 1)
        with pytest.raises(BrokerUnavailableError, match="no amqp channel left"):
            async with connection.amqp_channel(confirms=False):
                pass


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
