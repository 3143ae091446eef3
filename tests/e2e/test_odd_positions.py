"""Positions and limits at their edges: what subscribe and history make of them."""

from __future__ import annotations

from typing import Any

import pytest
from clients.backend import Backend
from clients.party import Clients
from eventually import eventually
from staging.suite import Suite

pytestmark = [pytest.mark.e2e, pytest.mark.broker]
HISTORY_LIMIT = 300
RECOVERY_LIMIT = 5000
"""Of the suite under test."""


def numbered(unique: str, count: int) -> list[tuple[str, int]]:
    return [(f"{unique}-{number}", number) for number in range(1, count + 1)]


def offsets(result: dict[str, Any]) -> list[int]:
    return [each["offset"] for each in result.get("publications", [])]


async def test_who_is_recovered_from_where(suite: Suite, clients: Clients, unique: str) -> None:
    """Of eight publications the last five are kept."""
    channel = f"short:{unique}"
    async with clients.raw() as alice, Backend.connected(suite.backend_url) as backend:
        await alice.connect(suite.token("alice"))
        epoch = (await alice.subscribe(channel))["epoch"]
        await backend.publish_all(channel, numbered(unique, 8))
        await alice.publications(channel, 8)

        async def recovered(**since: Any) -> list[int] | None:
            """Return the offsets that were recovered, None if it was impossible."""
            await alice.call(unsubscribe={"channel": channel})
            result = await alice.subscribe(channel, recover=True, **since)
            assert (result["was_recovering"], result["epoch"]) == (True, epoch)
            if result.get("recovered"):
                assert result.get("offset", 0) == since.get("offset", 0)
                return offsets(result)
            assert (result["offset"], offsets(result)) == (8, [])
            return None

        assert await recovered(epoch=epoch, offset=8) == []
        assert await recovered(epoch=epoch, offset=3) == [4, 5, 6, 7, 8]
        assert await recovered(offset=5) == [6, 7, 8], "an empty epoch matches any"
        assert await recovered(epoch="", offset=8) == []
        impossible: list[dict[str, Any]] = [
            {"epoch": "_"},  # how SDKs ask for a failure, to have state loaded anew
            {"epoch": "_", "offset": 8},
            {"epoch": epoch, "offset": 2},
            {"epoch": epoch},
            {},
            {"epoch": epoch, "offset": 9},
            {"epoch": epoch, "offset": 2**63 - 1},
            {"epoch": epoch, "offset": 2**63},
            {"epoch": epoch, "offset": 2**64 - 1},
            {"offset": 9},
        ]
        for since in impossible:
            assert await recovered(**since) is None, since
        for since in impossible:
            await alice.call(unsubscribe={"channel": channel})
            assert await alice.error(subscribe={"channel": channel, "recover": True, "flag": 3, **since}) == 112
            assert (await alice.subscribe(channel))["offset"] == 8, "the one refused does not stand in the way"


async def test_who_missed_as_much_as_the_limit_is_recovered_and_who_missed_more_is_not(
    suite: Suite, clients: Clients, unique: str
) -> None:
    channel = f"stream:{unique}"
    async with clients.raw() as alice, Backend.connected(suite.backend_url) as backend:
        await alice.connect(suite.token("alice"))
        epoch = (await alice.subscribe(channel))["epoch"]
        await alice.call(unsubscribe={"channel": channel})
        await backend.publish_all(channel, numbered(unique, RECOVERY_LIMIT + 1))

        async def all_stored() -> bool:
            top = (await alice.subscribe(channel)).get("offset", 0)
            await alice.call(unsubscribe={"channel": channel})
            return bool(top == RECOVERY_LIMIT + 1)

        await eventually(all_stored, what="everything arrived")
        too_far = await alice.subscribe(channel, recover=True, epoch=epoch)
        await alice.call(unsubscribe={"channel": channel})
        just_within = await alice.subscribe(channel, recover=True, epoch=epoch, offset=1)

    assert (too_far["was_recovering"], too_far.get("recovered", False)) == (True, False)
    assert (too_far["offset"], offsets(too_far)) == (RECOVERY_LIMIT + 1, [])
    assert (just_within["recovered"], just_within["offset"]) == (True, 1)
    assert offsets(just_within) == list(range(2, RECOVERY_LIMIT + 2))


async def test_how_much_a_history_request_is_answered_with(suite: Suite, clients: Clients, unique: str) -> None:
    channel, count = f"stream:{unique}", HISTORY_LIMIT + 10
    async with clients.raw() as alice, Backend.connected(suite.backend_url) as backend:
        await alice.connect(suite.token("alice"))
        epoch = (await alice.subscribe(channel))["epoch"]
        await backend.publish_all(channel, numbered(unique, count))
        await alice.publications(channel, count)

        async def read(**ask: Any) -> list[int]:
            result = (await alice.call(history={"channel": channel, **ask}))["history"]
            assert (result["epoch"], result["offset"]) == (epoch, count)
            return offsets(result)

        oldest = list(range(1, HISTORY_LIMIT + 1))
        newest = list(range(count, count - HISTORY_LIMIT, -1))
        assert await read() == await read(limit=0) == await read(limit=0, since={"offset": 1}, reverse=True) == []
        for everything in (-1, -7, HISTORY_LIMIT, HISTORY_LIMIT + 1, 2**31 - 1):
            assert await read(limit=everything) == oldest
            assert await read(limit=everything, reverse=True) == newest
        assert await read(limit=2, since={}) == await read(limit=2, since={"offset": 0}) == [1, 2]
        assert await read(limit=-1, since={"offset": count - 2, "epoch": epoch}) == [count - 1, count]
        assert await read(limit=-1, since={"offset": count - 2, "epoch": "another"}) == [count - 1, count]
        assert await read(limit=5, since={"offset": 4}, reverse=True) == [3, 2, 1]
        assert await read(limit=5, since={"offset": 1}, reverse=True) == []
        for beyond in (count, count + 1, 2**63, 2**64 - 1):
            assert await read(limit=5, since={"offset": beyond}) == []
        assert await read(limit=2, since={"offset": 2**64 - 1}, reverse=True) == [count, count - 1]


async def test_history_from_before_the_window_begins_with_its_oldest(
    suite: Suite, clients: Clients, unique: str
) -> None:
    """Of three publications the last one is kept."""
    channel = f"last:{unique}"
    async with clients.raw() as alice, Backend.connected(suite.backend_url) as backend:
        await alice.connect(suite.token("alice"))
        await alice.subscribe(channel)
        await backend.publish_all(channel, numbered(unique, 3))
        await alice.publications(channel, 3)

        async def read(**ask: Any) -> list[int]:
            return offsets((await alice.call(history={"channel": channel, "limit": -1, **ask}))["history"])

        assert await read() == await read(since={"offset": 1}) == await read(reverse=True) == [3]
        assert await read(since={"offset": 3}) == await read(since={"offset": 3}, reverse=True) == []
