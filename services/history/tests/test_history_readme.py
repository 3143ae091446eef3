"""The README tells the truth."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

from warren_history.adapters.sqlite_store import SqliteStore
from warren_history.settings import HistorySettings
from warren_shared.runtime.settings import ServiceSettings

from .store_behaviour import T0, append_texts, offsets, plan

README = (Path(__file__).parent.parent / "README.md").read_text("utf-8")


def test_every_setting_is_in_the_table_with_its_default_and_meaning() -> None:
    for name, field in HistorySettings.model_fields.items():
        if name not in ServiceSettings.model_fields or name == "ops_port":
            assert f"| `WARREN_HISTORY_{name.upper()}` | `{field.default}` | {field.description} |\n" in README


def test_the_table_holds_no_setting_that_does_not_exist() -> None:
    named = re.findall(r"`WARREN_HISTORY_([A-Z_]+)`", README)
    assert {name.lower() for name in named} <= set(HistorySettings.model_fields)


async def test_the_backup_and_restore_it_describes_work(tmp_path: Path) -> None:
    (backup,) = re.findall(r'"(VACUUM INTO \'backup\.sqlite3\')"', README)
    store = await SqliteStore.open(tmp_path / "history.sqlite3")
    (first,) = await append_texts(store, "a")
    copy = tmp_path / "backup.sqlite3"
    _run(tmp_path / "history.sqlite3", backup.replace("backup.sqlite3", str(copy)))
    await append_texts(store, "lost", now=T0 + 1)
    await store.close()

    for suffix in ("-wal", "-shm"):
        (tmp_path / f"history.sqlite3{suffix}").unlink(missing_ok=True)
    restored = await SqliteStore.open(copy.replace(tmp_path / "history.sqlite3"))
    try:
        page = await restored.read(plan(), now=T0)
        assert (offsets(page), page.top) == ([1], 1)
        assert page.epoch != first.epoch
    finally:
        await restored.close()


def _run(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(statement)
    connection.close()
