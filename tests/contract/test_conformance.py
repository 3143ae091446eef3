"""The table of the client protocol is complete, and every test it names is there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from warren_gateway.domain.protobuf import client_pb2
from warren_shared.contracts.codes import Disconnect, Disconnects, ErrorCode, Errors, Unsubscribe, Unsubscribes
from warren_shared.contracts.namespaces import NamespaceOptions

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = ROOT / "docs" / "conformance.md"
UNUSED: Final = "Codes that are never used"
KINDS: Final = {ErrorCode: "error", Disconnect: "disconnect", Unsubscribe: "unsubscribe"}


@dataclass(frozen=True, slots=True)
class Row:
    """A row: what it is about, and the tests it names."""

    section: str
    names: tuple[str, ...]
    tests: tuple[str, ...]


def rows() -> Iterator[Row]:
    """Read the page's tables."""
    section = ""
    for line in PAGE.read_text().splitlines():
        if line.startswith("## "):
            section = line[3:]
        elif line.startswith("| `"):
            cells = line.strip("|").split(" | ")
            names, tests = re.findall(r"`([^`]+)`", cells[0]), re.findall(r"`(test_[^`]+)`", cells[-1])
            yield Row(section, tuple(names), tuple(tests))


@cache
def all_tests() -> frozenset[str]:
    """Return every test and class of tests as ``module::name`` or ``module::class::name``."""
    found: set[str] = set()
    for folder in ("tests", "services", "shared"):
        for path in (ROOT / folder).rglob("test_*.py"):
            found.update(f"{path.stem}::{name}" for name in _names(ast.parse(path.read_text()).body))
    return frozenset(found)


def _names(body: list[ast.stmt]) -> Iterator[str]:
    for each in body:
        if isinstance(each, ast.ClassDef):
            yield each.name
            yield from (f"{each.name}::{name}" for name in _names(each.body))
        elif isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef) and each.name.startswith("test_"):
            yield each.name


def codes() -> dict[str, str]:
    """Return every code as the page has it, with how the sources name it."""
    return {
        f"{KINDS[type(code)]} {code.code}": f"{holder.__name__}.{name}"
        for holder in (Errors, Disconnects, Unsubscribes)
        for name, code in vars(holder).items()
        if isinstance(code, ErrorCode | Disconnect | Unsubscribe)
    }


def fields() -> set[str]:
    """Return every field of the client protocol that is declared."""
    messages = client_pb2.DESCRIPTOR.message_types_by_name.values()
    return {f"{message.name}.{field.name}" for message in messages for field in message.fields}


def test_every_field_code_and_option_has_one_row() -> None:
    required = fields() | set(codes()) | set(NamespaceOptions.model_fields)
    named = [name for row in rows() for name in row.names]
    assert required - set(named) == set(), "name in docs/conformance.md what shows that these work"
    assert set(named) - required == set(), "these are not of the protocol"
    assert sorted(named) == sorted(set(named)), "one row is enough"


@pytest.mark.parametrize("row", list(rows()), ids=lambda row: row.names[0])
def test_a_row_names_tests_that_exist(row: Row) -> None:
    assert row.tests or row.section == UNUSED
    assert set(row.tests) <= all_tests()


def test_codes_that_are_said_to_be_unused_are_made_by_no_service_and_all_others_are() -> None:
    sources = [path.read_text() for folder in ("services", "shared") for path in (ROOT / folder).glob("**/src/**/*.py")]
    used = {code for code, name in codes().items() if any(re.search(rf"\b{name}\b", text) for text in sources)}
    unused = {name for row in rows() if row.section == UNUSED for name in row.names}
    assert unused == set(codes()) - used
