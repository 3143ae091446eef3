"""A PostgreSQL of our own, for tests and benchmarks."""

from __future__ import annotations

import stat
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from warren_dev import debian_package, postgres, postgres_package
from warren_dev.errors import SetupError
from warren_dev.ports import LOOPBACK, is_free
from warren_dev.postgres import PrivatePostgres, running_postgres


@pytest.mark.postgres
async def test_it_serves_on_loopback_with_a_password_and_survives_a_crash_but_not_the_block() -> None:
    with running_postgres(print, {"work_mem": "5MB"}) as server:
        assert urlsplit(server.url()).hostname == LOOPBACK
        assert await _ask(server, "SHOW work_mem") == "5MB"
        assert await _ask(server, "SHOW listen_addresses") == LOOPBACK
        await _ask(server, "CREATE TABLE kept (word text)")
        server.crash()
        assert is_free(server.port)
        server.start()
        assert await _ask(server, "SELECT count(*)::text FROM kept") == "0"
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(server.url().replace(urlsplit(server.url()).password or "", "guess"))
        folder = Path(await _ask(server, "SHOW data_directory")).parent
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert is_free(server.port)
    assert not folder.exists()


async def _ask(server: PrivatePostgres, query: str) -> str:
    connection = await asyncpg.connect(server.url())
    try:
        return str(await connection.fetchval(query))
    finally:
        await connection.close()


@pytest.mark.postgres
def test_a_setting_the_server_does_not_know_is_told() -> None:
    with pytest.raises(SetupError, match="nonsense"), running_postgres(print, {"nonsense": "1"}):
        pass


def test_without_postgresql_and_without_rights_it_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "find_programs", lambda: None)
    monkeypatch.setattr(debian_package, "superuser", lambda: None)
    with pytest.raises(SetupError, match="Type: sudo apt-get install"), running_postgres(print):
        pass


def test_the_newest_of_several_versions_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for version in ("9", "15", "17"):
        folder = tmp_path / version / "bin"
        folder.mkdir(parents=True)
        for name in ("postgres", "initdb"):
            (folder / name).touch(mode=0o755)
    (tmp_path / "99" / "bin").mkdir(parents=True)  # its client alone
    monkeypatch.setattr(postgres_package, "_PLACES", ((str(tmp_path), "*/bin"),))

    assert postgres_package.find_programs() == tmp_path / "17" / "bin"


@pytest.mark.parametrize(("variable", "expected"), [("", 1), ("postgresql://u@h/d", 0)])
def test_before_the_tests_it_is_told_that_there_is_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str, expected: int
) -> None:
    monkeypatch.setenv("WARREN_TEST_POSTGRES_URL", variable)
    monkeypatch.setattr(postgres_package, "find_programs", lambda: None)
    monkeypatch.setattr(debian_package, "superuser", lambda: None)

    assert postgres_package.main() == expected
    assert ("Type: sudo apt-get install" in capsys.readouterr().err) == bool(expected)
