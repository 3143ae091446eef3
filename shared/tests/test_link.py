"""A link that was given up lets go of its connection within two seconds, and of all who wait on it."""

from __future__ import annotations

import asyncio

import pytest
from eventually import eventually

from warren_shared.messaging.amqp.link import Link
from warren_shared.messaging.amqp.publishing import ConfirmedPublisher
from warren_shared.messaging.lane.connection import CLOSE_SECONDS, connect
from warren_shared.messaging.port import BrokerUnavailableError, Outgoing

from .amqp_peer import Listening, Peer

SLACK = 1.0
SOON = 10.0


async def _set_up(peer: Peer) -> None:
    await peer.accept()
    for confirms in (False, True):  # the pulse's, and the publisher's
        await peer.open_channel(confirms=confirms)


async def test_who_waits_on_a_silent_link_is_told_once_it_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("warren_shared.messaging.amqp.pulse.EVERY_SECONDS", 0.1)
    monkeypatch.setattr("warren_shared.messaging.amqp.pulse.PATIENCE_SECONDS", 0.3)
    loop, publisher = asyncio.get_running_loop(), ConfirmedPublisher()
    async with Listening.anywhere() as listening:
        link = Link(connect, listening.url, name="test", heartbeat=600)
        link.add(publisher)
        running = asyncio.create_task(link.run())
        await _set_up(await listening.peer())  # and from now on it says nothing
        await eventually(lambda: link.ready)
        began = loop.time()
        publishing = asyncio.create_task(publisher.publish(Outgoing("x", "k", b"x"), deadline=SOON))
        with pytest.raises(BrokerUnavailableError):
            await publishing
        assert loop.time() - began < 0.1 + 0.3 + CLOSE_SECONDS + SLACK

        await _set_up(await listening.peer())
        await eventually(lambda: link.ready)
        assert link.connects == 2
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
