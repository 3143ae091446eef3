"""Random secrets that are made once and kept where only their owner reads them."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_BYTES: Final = 32


def kept_secret(file: Path) -> str:
    """Return the secret kept in a file; make one, readable by its owner alone, if there is none."""
    try:
        return file.read_text("utf-8").strip()
    except FileNotFoundError:
        secret = secrets.token_urlsafe(_BYTES)
        write_private(file, secret + "\n")
        return secret


def kept_passwords(file: Path, users: Iterable[str]) -> dict[str, str]:
    """Return a password for each user, kept in a file as :func:`kept_secret` does."""
    try:
        kept: dict[str, str] = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        kept = {}
    passwords = {user: kept.get(user) or secrets.token_urlsafe(_BYTES) for user in users}
    if passwords != kept:
        write_private(file, json.dumps(passwords, indent=1) + "\n")
    return passwords


def write_private(file: Path, text: str) -> None:
    """Write a file that only its owner can read, from its first byte on."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(file.name + ".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
        stream.write(text)
    draft.replace(file)
