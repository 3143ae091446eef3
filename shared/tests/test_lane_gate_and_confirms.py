"""Who waits for the broker: publishers at the gate, and messages for their confirms."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warren_shared.messaging.lane.confirms import Confirms, Settlement
from warren_shared.messaging.lane.decoder import Confirmed
from warren_shared.messaging.lane.gate import Gate, Obstacle
from warren_shared.messaging.port import BrokerUnavailableError


def settlement() -> Settlement:
    """Messages nobody waits for, as far as these tests go."""
    return Settlement(cast("asyncio.Future[None]", None), until=0)


async def passing(gate: Gate, order: list[int], number: int) -> None:
    await gate.enter()
    order.append(number)
    gate.left()


async def test_who_waited_is_let_through_in_order_and_not_overtaken() -> None:
    gate, order = Gate(), list[int]()
    gate.put(Obstacle.ALARM)
    async with asyncio.TaskGroup() as group:
        for number in range(5):
            group.create_task(passing(gate, order, number))
        await asyncio.sleep(0)
        assert not gate.free
        gate.clear(Obstacle.ALARM)
        assert not gate.free  # the first of them is on its way

    assert order == [0, 1, 2, 3, 4]
    assert gate.free


async def test_two_obstacles_must_both_go() -> None:
    gate = Gate()
    gate.put(Obstacle.ALARM)
    gate.put(Obstacle.SOCKET)
    gate.clear(Obstacle.ALARM)

    assert not gate.free
    gate.clear(Obstacle.SOCKET)
    assert gate.free


async def test_one_who_gives_up_holds_nobody_up() -> None:
    gate, order = Gate(), list[int]()
    gate.put(Obstacle.SOCKET)
    first = asyncio.create_task(passing(gate, order, 1))
    second = asyncio.create_task(passing(gate, order, 2))
    await asyncio.sleep(0)
    gate.clear(Obstacle.SOCKET)  # the turn is the first's
    first.cancel()
    await asyncio.wait((first, second), timeout=5)

    assert (order, gate.free) == ([2], True)


async def test_whoever_waits_is_told_that_the_connection_is_gone_and_so_is_whoever_comes() -> None:
    gate = Gate()
    gate.put(Obstacle.SOCKET)
    waiting = asyncio.create_task(gate.enter())
    await asyncio.sleep(0)
    gate.fail(BrokerUnavailableError("gone"))

    with pytest.raises(BrokerUnavailableError, match="gone"):
        await waiting
    with pytest.raises(BrokerUnavailableError, match="gone"):
        await gate.enter()
    assert not gate.free


@given(st.data())
def test_any_mix_of_single_and_range_confirms_settles_each_message_once(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 40))
    refused = data.draw(st.sets(st.integers(1, count)))
    confirms, settlements = Confirms(), [settlement() for _ in range(count)]
    for each in settlements:
        confirms.sent(each)
    complete, left = list[Settlement](), set(range(1, count + 1))
    while left:
        tag = data.draw(st.sampled_from(sorted(left)))
        below = {each for each in left if each <= tag}
        multiple = data.draw(st.booleans()) and len({each in refused for each in below}) == 1
        complete += confirms.settle(Confirmed(tag, multiple, tag not in refused))
        left -= below if multiple else {tag}

    assert len(complete) == count
    assert len(set(map(id, complete))) == count
    assert [bool(each.refused) for each in settlements] == [n in refused for n in range(1, count + 1)]
    assert not len(confirms)


def test_a_settlement_of_many_messages_is_complete_with_the_last() -> None:
    confirms, together, alone = Confirms(), settlement(), settlement()
    for each in (together, together, alone, together):
        confirms.sent(each)

    assert confirms.settle(Confirmed(2, multiple=True, positive=True)) == []
    assert confirms.settle(Confirmed(4, multiple=False, positive=False)) == [together]
    assert confirms.settle(Confirmed(0, multiple=True, positive=True)) == [alone]
    assert (together.refused, alone.refused) == (1, 0)


def test_a_confirm_nobody_waits_for_is_ignored_and_a_failure_reaches_all_who_wait_once() -> None:
    confirms, waiting = Confirms(), settlement()
    confirms.sent(waiting)
    confirms.sent(waiting)
    error = BrokerUnavailableError("gone")

    assert confirms.settle(Confirmed(9, multiple=False, positive=True)) == []
    assert confirms.fail(error) == [waiting]
    assert waiting.error is error
    assert not len(confirms)


def test_tags_grow_by_one() -> None:
    confirms, settlements = Confirms(), [settlement() for _ in range(3)]
    for each in settlements:
        confirms.sent(each)

    tags = [confirms.settle(Confirmed(tag, multiple=False, positive=True)) for tag in (1, 2, 3)]
    assert all(a != b for a, b in pairwise(tags))
    assert [each for (each,) in tags] == settlements


def seconds_to_confirm(count: int) -> float:
    """CPU time of confirming so many, oldest first, two at a time."""
    confirms, together = Confirms(), settlement()
    for _ in range(count):
        confirms.sent(together)
    began = time.process_time()
    for tag in range(2, count + 1, 2):
        confirms.settle(Confirmed(tag, multiple=True, positive=True))
    return time.process_time() - began


def test_a_confirm_costs_the_same_however_many_wait() -> None:
    few, many = (min(seconds_to_confirm(count) for _ in range(3)) for count in (8_000, 64_000))
    assert many < 24 * few  # eight times as many; were each looked for from the start, it would be sixty times
