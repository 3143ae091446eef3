"""A backup that is put back gives no offset a second time under an epoch that clients know."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from warren_history.adapters.sqlite.connection import Synchronous
from warren_history.adapters.sqlite_store import SqliteOptions, SqliteStore
from warren_history.domain.publications import StreamPage
from warren_history.ports import StoreUnusableError

from .store_behaviour import T0, append_texts, plan, texts

OPTIONS = SqliteOptions(synchronous=Synchronous.NORMAL)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.sqlite3"


def back_up(path: Path) -> Path:
    copy = path.with_name("backup.sqlite3")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"VACUUM INTO '{copy}'")
    return copy


def restore(copy: Path, path: Path) -> None:
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    shutil.copyfile(copy, path)


async def use(path: Path, *items: str, now: int = T0) -> StreamPage:
    """Open the store, append, and return what is there then."""
    store = await SqliteStore.open(path, OPTIONS)
    try:
        await append_texts(store, *items, now=now)
        return await store.read(plan(), now=now)
    finally:
        await store.close()


async def test_an_older_copy_has_new_epochs_and_goes_on_from_its_own_offsets(path: Path) -> None:
    old = await use(path, "a", "b")
    copy = back_up(path)
    await use(path, "lost", now=T0 + 1)
    restore(copy, path)
    page = await use(path, "c", now=T0 + 2)
    assert page.epoch != old.epoch
    assert (texts(page), page.top) == (["a", "b", "c"], 3)
    assert (await use(path, now=T0 + 3)).epoch == page.epoch, "once"


async def test_the_same_copy_put_back_twice_has_new_epochs_each_time(path: Path) -> None:
    await use(path, "a")
    copy = back_up(path)
    epochs = set()
    for turn in range(1, 4):
        restore(copy, path)
        epochs.add((await use(path, "b", now=T0 + turn)).epoch)
    assert len(epochs) == 3


async def test_an_older_copy_is_known_though_history_had_not_stopped_in_between(path: Path) -> None:
    store = await SqliteStore.open(path, OPTIONS)
    (first,) = await append_texts(store, "a")
    copy = back_up(path)
    await append_texts(store, "lost", now=T0 + 1)
    killed = path.with_name("killed")
    shutil.copytree(path.parent, killed)
    await store.close()
    restore(copy, killed / path.name)
    assert (await use(killed / path.name, "b", now=T0 + 2)).epoch != first.epoch


def lose(path: Path) -> None:
    path.unlink()


def garble(path: Path) -> None:
    path.write_bytes(b"\0" * 21)


@pytest.mark.parametrize("spoil", [lose, garble])
async def test_a_store_without_a_mark_to_go_by_counts_as_an_older_copy(
    path: Path, spoil: Callable[[Path], None]
) -> None:
    old = await use(path, "a")
    spoil(path.with_name("history.sqlite3-mark"))
    assert (await use(path)).epoch != old.epoch


async def test_a_store_that_was_only_away_or_moved_with_its_mark_keeps_its_epochs(path: Path) -> None:
    old = await use(path, "a")
    assert (await use(path, now=T0 + 1)).epoch == old.epoch
    moved = path.with_name("moved")
    shutil.copytree(path.parent, moved)
    assert (await use(moved / path.name, now=T0 + 2)).epoch == old.epoch


async def test_a_store_of_an_earlier_version_keeps_its_epochs_and_has_a_mark_from_then_on(path: Path) -> None:
    old = await use(path, "a")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 0")
    path.with_name("history.sqlite3-mark").unlink()
    assert (await use(path)).epoch == old.epoch
    copy = back_up(path)
    await use(path, "lost", now=T0 + 1)
    restore(copy, path)
    assert (await use(path)).epoch != old.epoch


async def test_a_second_process_on_a_store_in_use_takes_it_for_what_it_is(path: Path) -> None:
    first = await SqliteStore.open(path, OPTIONS)
    (appended,) = await append_texts(first, "a")
    try:
        assert (await use(path, "b", now=T0 + 1)).epoch == appended.epoch
        (after,) = await append_texts(first, "c", now=T0 + 2)
        assert (after.epoch, after.offset) == (appended.epoch, 3)
    finally:
        await first.close()
    assert (await use(path, now=T0 + 3)).epoch == appended.epoch


async def test_where_a_store_was_deleted_a_new_one_begins_whatever_the_mark_says(path: Path) -> None:
    old = await use(path, "a", now=T0 + 60_000)
    lose(path)
    new = await use(path, "b")
    assert new.epoch != old.epoch
    assert (await use(path, now=T0)).epoch == new.epoch


async def test_a_mark_that_cannot_be_kept_is_a_store_that_cannot_be_opened(path: Path) -> None:
    path.with_name("history.sqlite3-mark").mkdir()
    with pytest.raises(StoreUnusableError, match=r"history\.sqlite3: .*"):
        await SqliteStore.open(path, OPTIONS)
