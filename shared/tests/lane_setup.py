"""A lane connected to a peer that does what a test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from warren_shared.messaging.lane.amqp_channel import LaneAmqpChannel
from warren_shared.messaging.lane.connection import LaneConnection, connect
from warren_shared.messaging.port import (
    Outgoing,
)

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
