"""History's store is lost, or an older copy of it is put back: nobody is told that nothing was missed."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from clients.backend import Backend
from clients.party import Clients
from clients.sdk import SdkClient, connected, subscribed
from staging.suite import Suite

pytestmark = [pytest.mark.e2e, pytest.mark.broker, pytest.mark.timeout(90)]
FILES = ("", "-wal", "-shm")


def store_of(suite: Suite) -> Path:
    return suite.setting.folder / "history.sqlite3"


def delete(store: Path, *suffixes: str) -> None:
    for suffix in suffixes:
        store.with_name(store.name + suffix).unlink(missing_ok=True)


def back_up(store: Path, copy: Path) -> None:
    with closing(sqlite3.connect(store)) as connection:
        connection.execute(f"VACUUM INTO '{copy}'")


async def subscribers(clients: Clients, channel: str) -> list[SdkClient]:
    """One client of each SDK, on different gateways."""
    return [
        await subscribed(await connected(await clients.make(sdk, gateway, f"{sdk}-{gateway}")), channel)
        for sdk, gateway in (("python", 0), ("js", 1))
    ]


async def publish(backend: Backend, channel: str, numbers: range, everybody: list[SdkClient]) -> None:
    for number in numbers:
        await backend.publish(channel, number)
    for client in everybody:
        await client.log.until("publication", channel, matches=lambda event: event["data"] == numbers[-1])


async def was_told(channel: str, client: SdkClient, *, since: int, epoch: str) -> None:
    """Hold a subscriber to having been told that it is not whole."""
    ended = await client.log.one("subscribing", channel, since=since)
    again = await client.log.one("subscribed", channel, since=since)
    assert ended["code"] == 2500
    assert (again["was_recovering"], again["recovered"]) == (True, False)
    assert again["epoch"] != epoch


async def test_when_the_store_is_lost_every_subscriber_is_told_and_whole_from_then_on(
    suite: Suite, clients: Clients, unique: str
) -> None:
    channel, store = f"chat:{unique}", store_of(suite)
    everybody = await subscribers(clients, channel)
    async with Backend.connected(suite.backend_url) as backend, clients.raw() as away:
        await away.connect(suite.token("away"))
        position = await away.subscribe(channel)
        await publish(backend, channel, range(10), everybody)
        await away.call(unsubscribe={"channel": channel})
        marks = [client.log.mark() for client in everybody]

        await suite.stop("history")
        delete(store, *FILES)
        await suite.start("history")

        # As many as before: the same offsets, of another epoch.
        for number in range(10, 20):
            await backend.publish(channel, number)
        for client, mark in zip(everybody, marks, strict=True):
            await was_told(channel, client, since=mark, epoch=position["epoch"])
        back = await away.subscribe(channel, recover=True, epoch=position["epoch"], offset=10)
        marks = [client.log.mark() for client in everybody]
        await publish(backend, channel, range(20, 23), everybody)

    assert (back["was_recovering"], back.get("recovered", False)) == (True, False)
    for client, mark in zip(everybody, marks, strict=True):
        assert [event["data"] for event in client.log.all("publication", channel, since=mark)][-3:] == [20, 21, 22]
        assert client.log.data(channel) == sorted(set(client.log.data(channel)))


@pytest.mark.parametrize("marked", [True, False])
async def test_when_an_older_copy_is_put_back_no_offset_is_taken_for_the_one_it_was(
    suite: Suite, clients: Clients, unique: str, marked: bool, tmp_path: Path
) -> None:
    """``marked``: history finds out by itself; else, as after a whole disk was put back, it is told."""
    channel, store, copy = f"chat:{unique}", store_of(suite), tmp_path / "copy.sqlite3"
    everybody = await subscribers(clients, channel)
    async with Backend.connected(suite.backend_url) as backend, clients.raw() as away:
        await away.connect(suite.token("away"))
        position = await away.subscribe(channel)
        await publish(backend, channel, range(5), everybody)
        back_up(store, copy)
        await publish(backend, channel, range(5, 10), everybody)
        await away.call(unsubscribe={"channel": channel})
        marks = [client.log.mark() for client in everybody]

        await suite.stop("history")
        delete(store, *FILES)
        store.write_bytes(copy.read_bytes())
        if not marked:
            forget_the_mark(store)
            code, said = await suite.command("history", "renew-epochs")
            assert (code, said.startswith("warren-history: gave new epochs to ")) == (0, True)
        await suite.start("history")

        # The top is again where the client that is away has been.
        for number in range(10, 15):
            await backend.publish(channel, number)
        for client, mark in zip(everybody, marks, strict=True):
            await was_told(channel, client, since=mark, epoch=position["epoch"])
        marks = [client.log.mark() for client in everybody]
        await publish(backend, channel, range(15, 18), everybody)
        for offset in (3, 5, 8, 10):
            back = await away.subscribe(channel, recover=True, epoch=position["epoch"], offset=offset)
            assert (back["was_recovering"], back.get("recovered", False)) == (True, False)
            await away.call(unsubscribe={"channel": channel})

    for client, mark in zip(everybody, marks, strict=True):
        assert [event["data"] for event in client.log.all("publication", channel, since=mark)][-3:] == [15, 16, 17]


def forget_the_mark(store: Path) -> None:
    """Have the copy and its mark agree, as if both were of one snapshot of the disk."""
    with closing(sqlite3.connect(store)) as connection:
        (age,) = connection.execute("SELECT age FROM clock").fetchone()
    store.with_name(store.name + "-mark").write_text(f"{age:020d}\n")
