"""A lane keeps its promises against a peer that misbehaves, is slow, or goes away."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from eventually import eventually
from pamqp import commands, heartbeat

from warren_shared.messaging.lane.connection import LaneConnection, connect
from warren_shared.messaging.lane.errors import AmqpChannelClosedError, ConnectionClosedError
from warren_shared.messaging.port import (
    BrokerUnavailableError,
)
from warren_shared.topology.declarations import Binding

from .amqp_peer import Listening
from .lane_setup import SOON, connected, numbered, with_channel


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


async def test_methods_nobody_asked_for_on_channel_0_end_the_connection_and_its_closing_raises_nothing() -> None:
    async with connected() as (connection, peer):
        peer.send(0, commands.Connection.OpenOk())
        _, close = await peer.read(commands.Connection.Close)
        await asyncio.wait_for(connection.close(), SOON)
        assert (close.reply_code, connection.is_closed) == (505, True)


async def test_a_stray_method_during_closing_does_not_escape_from_it() -> None:
    async with connected() as (connection, peer):
        closing = asyncio.create_task(connection.close())
        await peer.read(commands.Connection.Close)
        peer.send(0, commands.Connection.OpenOk())
        await asyncio.wait_for(closing, SOON)


async def test_an_amqp_channel_whose_closing_took_too_long_is_let_go_when_the_broker_agrees(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("warren_shared.messaging.lane.connection.CLOSE_SECONDS", 0.05)
    async with connected() as (connection, peer):
        leaving = asyncio.create_task(enter_and_leave(connection))
        number = await peer.open_channel()
        await asyncio.wait_for(leaving, SOON)
        peer.send(number, commands.Channel.CloseOk())
        await eventually(lambda: not connection._channels)


async def test_both_sides_may_close_an_amqp_channel_at_once_and_its_number_is_used_again_later() -> None:
    async with connected() as (connection, peer):
        leaving = asyncio.create_task(enter_and_leave(connection))
        number = await peer.open_channel()
        await peer.read(commands.Channel.Close)
        peer.send(number, commands.Channel.Close(404, "NOT_FOUND", 50, 20))
        await peer.read(commands.Channel.CloseOk)
        other = asyncio.create_task(enter_and_leave(connection))
        assert await peer.open_channel() == number + 1
        peer.send(number, commands.Channel.CloseOk())
        await asyncio.wait_for(leaving, SOON)
        await peer.read(commands.Channel.Close)
        peer.send(number + 1, commands.Channel.CloseOk())
        await asyncio.wait_for(other, SOON)
        assert not connection.is_closed


async def enter_and_leave(connection: LaneConnection) -> None:
    async with connection.amqp_channel(confirms=False):
        pass
