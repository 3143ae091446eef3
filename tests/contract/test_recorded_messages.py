"""Contracts only grow: messages recorded from every released version can still be read.

A line of recorded/<version>.jsonl is a message as that version wrote it. Never change a line; a new
version adds a file (``python tests/contract/record.py VERSION``).
"""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from warren_shared.contracts import auth, history, presence, rpc
from warren_shared.contracts.envelope import Message, decode_one_of

RECORDED = sorted((Path(__file__).parent / "recorded").glob("*.jsonl"))


def all_types() -> list[type[Message]]:
    modules = (auth, history, presence, rpc)
    found = [value for module in modules for value in vars(module).values() if isinstance(value, type)]
    return [value for value in found if issubclass(value, Message) and "type_name" in vars(value)]


def lines() -> list[tuple[str, bytes]]:
    return [(file.stem, line) for file in RECORDED for line in file.read_bytes().splitlines()]


@pytest.mark.parametrize(("version", "line"), lines())
def test_a_recorded_message_is_read_whole(version: str, line: bytes) -> None:
    message = decode_one_of(line, *all_types())

    recorded, read = orjson.loads(line), orjson.loads(message.encode())
    assert recorded.items() <= read.items(), version


def test_every_message_type_is_recorded() -> None:
    recorded = {orjson.loads(line)["type"] for _, line in lines()}

    assert recorded == {model.type_name for model in all_types()}


def test_type_names_are_unique() -> None:
    names = [model.type_name for model in all_types()]

    assert len(names) == len(set(names))
