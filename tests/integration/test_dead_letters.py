"""No header or property of a message keeps its dead letter from being taken by a real broker, and no
dead letter disturbs anything else.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from staging.bus import DEADLINE, running

from warren_shared.messaging.amqp.driver import Connect
from warren_shared.messaging.dead_letters import dead_letter
from warren_shared.messaging.port import Delivery, Outgoing, UnsendableMessageError
from warren_shared.topology.catalogue import ExchangeName, QueueName, RpcKey

pytestmark = pytest.mark.broker
INTERPRETED = ("CC", "BCC", "x-death", "x-delay", "x-match", "x-first-death-queue", "x-stream-filter-value", "x-reason")


def values() -> st.SearchStrategy[Any]:
    """What the client library makes of the values of an AMQP table."""
    simple: st.SearchStrategy[Any] = st.sampled_from([None, True, "x" * 70_000, datetime(2020, 1, 1, tzinfo=UTC)])
    simple |= st.integers() | st.floats() | st.text() | st.binary()
    return st.recursive(simple, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)


def headers() -> st.SearchStrategy[dict[str, Any]]:
    names = st.sampled_from(INTERPRETED) | st.text(max_size=255) | st.text(max_size=255).map("tag-{}".format)
    return st.dictionaries(names, values(), max_size=100)


def deliveries() -> st.SearchStrategy[Delivery]:
    short = st.text(max_size=255) | st.just("\\xff" * 255)
    return st.builds(
        Delivery,
        st.just("warren.publish"),
        short,
        st.binary(max_size=10),
        headers(),
        message_id=st.none() | short,
        type=st.none() | short,
        content_type=st.none() | short,
    )


async def test_a_dead_letter_of_anything_is_taken(broker_url: str, connect: Connect) -> None:
    async with running(connect, broker_url) as bus:
        loop = asyncio.get_running_loop()

        @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
        @given(deliveries())
        @example(Delivery("warren.publish", "chat.poison", b"hello", {"CC": ["x"]}))  # type: ignore[dict-item] # what arrives
        @example(Delivery("warren.publish", "chat.poison", b"hello", {"BCC": "x", "x-death": 5}))
        @example(Delivery("warren.publish", "chat.poison", b"hello", {f"tag-{n}": "x" * 900 for n in range(200)}))
        def taken(delivery: Delivery) -> None:
            letter = dead_letter(delivery, "a reason", "history")
            asyncio.run_coroutine_threadsafe(bus.publish(letter, deadline=DEADLINE), loop).result()

        await asyncio.to_thread(taken)


async def test_what_the_broker_refuses_for_good_is_told_from_a_broker_that_is_away(
    broker_url: str, connect: Connect
) -> None:
    refused = Outgoing(ExchangeName.DEAD, "chat.a", b"1", headers={"CC": "no list"})
    async with running(connect, broker_url) as bus:
        with pytest.raises(UnsendableMessageError, match="CC"):
            await bus.publish(refused, deadline=DEADLINE)
        await bus.wait_ready(deadline=DEADLINE)
        with pytest.raises(UnsendableMessageError):
            await bus.publish_all([Outgoing(ExchangeName.DEAD, "chat.a", b"1"), refused], deadline=DEADLINE)


async def test_a_dead_letter_that_is_refused_takes_no_request_down(broker_url: str, connect: Connect) -> None:
    refused = Outgoing(ExchangeName.DEAD, "chat.a", b"1", headers={"CC": "no list"})

    async def answer(request: Delivery) -> bytes:
        return request.body

    async with running(connect, broker_url, lambda bus: bus.serve(QueueName.AUTH, answer)) as bus:
        for _ in range(10):
            await bus.wait_ready(deadline=DEADLINE)
            assert bus.send(refused)
            assert bus.send(refused)
            bodies = [b"%d" % number for number in range(50)]
            asked = [bus.request(ExchangeName.RPC, RpcKey.AUTH_CONNECT, body, deadline=DEADLINE) for body in bodies]
            assert await asyncio.gather(*asked) == bodies
