from __future__ import annotations

import stat
from pathlib import Path

import pytest

from warren_dev import token_secret
from warren_dev.secret_files import kept_passwords, kept_secret, write_private
from warren_dev.token_secret import current_secret, secret_in_force


def mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def test_a_secret_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "secret"
    secret = kept_secret(file)
    assert len(secret) >= 32
    assert kept_secret(file) == secret
    assert mode(file) == 0o600


def test_writing_a_secret_closes_a_file_that_was_open_to_all(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("old")
    file.chmod(0o644)
    write_private(file, "new")
    assert (file.read_text(), mode(file)) == ("new", 0o600)


def test_passwords_are_kept_and_new_users_get_one(tmp_path: Path) -> None:
    file = tmp_path / "passwords.json"
    first = kept_passwords(file, ["a", "b"])
    assert len(set(first.values())) == 2
    more = kept_passwords(file, ["a", "b", "c"])
    assert first.items() <= more.items()
    assert kept_passwords(file, ["c"]) == {"c": more["c"]}
    assert mode(file) == 0o600


def test_tokens_are_made_with_the_secret_of_the_run(tmp_path: Path) -> None:
    kept = secret_in_force(tmp_path, None).read_text().strip()
    assert current_secret(tmp_path, None) == kept
    given = "given-by-the-environment"
    assert secret_in_force(tmp_path, given).read_text() == given
    assert current_secret(tmp_path, None) == given
    assert secret_in_force(tmp_path, None).read_text().strip() == current_secret(tmp_path, None) == kept


def test_the_command_prints_the_secret_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(token_secret.VARIABLE, raising=False)
    assert token_secret.main() == 0
    assert capsys.readouterr().out == (tmp_path / ".run" / "token-secret").read_text()
