"""The documentation says what is: its links, commands, names and examples exist, its generated part is current."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from warren_dev.reference.discovery import SERVICES, service_metrics, shared_metrics
from warren_dev.reference.documents import DOCUMENTS, outdated
from warren_dev.reference.metrics import exposed_name
from warren_dev.reference.settings import variables
from warren_shared.contracts.namespaces import parse_namespaces
from warren_shared.topology.catalogue import topology

ROOT = Path(__file__).resolve().parents[2]
SKIPPED = {".venv", "node_modules", ".run", ".git", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis"}
SOURCE_SUFFIXES = {".py", ".js", ".yml", ".yaml", ".toml", ".sh", ".conf", ".html"}
FOREIGN = {"connect_robust", "parentbased_always_on", "send_str"}
"""Names of libraries that we do not use, and say so."""
DATABASE = {"ignore_startup_parameters", "max_prepared_statements", "synchronous_standby_names"}
"""Settings of PostgreSQL and PgBouncer that are the operator's."""
PAGE_WORDS = 420
"""What fits on a page."""

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([^`\n]+)`")


def files() -> Iterator[Path]:
    for file in sorted(ROOT.rglob("*")):
        if file.is_file() and SKIPPED.isdisjoint(file.relative_to(ROOT).parts):
            yield file


PAGES = [file for file in files() if file.suffix == ".md"]
WRITTEN = [page for page in PAGES if page.relative_to(ROOT).as_posix() not in DOCUMENTS]
RECORDS = sorted((ROOT / "docs/adr").glob("[0-9]*.md"))


def named(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


every_page = pytest.mark.parametrize("page", PAGES, ids=named)
every_written_page = pytest.mark.parametrize("page", WRITTEN, ids=named)
every_record = pytest.mark.parametrize("record", RECORDS, ids=named)


@cache
def text_of(page: Path) -> str:
    return page.read_text("utf-8")


def prose_of(page: Path) -> str:
    return _FENCE.sub("", text_of(page))


@cache
def anchors_of(page: Path) -> frozenset[str]:
    headings = re.findall(r"^#+ (.+)$", prose_of(page), re.MULTILINE)
    return frozenset(re.sub(r"[^\w\- ]", "", _LINK.sub("", title).lower()).replace(" ", "-") for title in headings)


@cache
def sources() -> str:
    kept = [file for file in files() if file.suffix in SOURCE_SUFFIXES or file.name in {"Makefile", "Dockerfile"}]
    return "\n".join(file.read_text("utf-8") for file in kept if file != Path(__file__))


def code_spans(page: Path) -> set[str]:
    return set(_CODE.findall(prose_of(page)))


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for target in _LINK.findall(prose_of(page)):
        path, _, anchor = target.partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in anchors_of(file)):
            broken.append(target)

    assert broken == []


@every_written_page
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    commands = re.findall(r"(?:^ {4,}(?:\$ )?|`)make ([a-z][a-z-]*)", text_of(page), re.MULTILINE)

    assert set(commands) <= targets


@every_written_page
def test_settings_exist(page: Path) -> None:
    known = variables() | set(re.findall(r"\bWARREN_[A-Z_]*[A-Z]\b", sources()))
    unknown = []
    for name, star in re.findall(r"\b(WARREN_[A-Z_]*[A-Z_])(\*?)", text_of(page)):
        if not (any(each.startswith(name) for each in known) if star else name in known):
            unknown.append(name)

    assert unknown == []


@every_written_page
def test_metrics_exist(page: Path) -> None:
    specs = [*shared_metrics(), *(spec for service in SERVICES for spec in service_metrics(service))]
    names = {exposed_name(spec) for spec in specs}
    named_here = set(re.findall(r"\bwarren_[a-z]+_[a-z_]+[a-z]\b", prose_of(page)))

    assert named_here <= names


@every_written_page
def test_names_on_the_broker_exist(page: Path) -> None:
    known = {"warren.channel", "warren.recipients"}  # attributes of spans
    known |= {*(exchange.name for exchange in topology().exchanges), *(queue.name for queue in topology(8).queues)}
    named_here = {span for span in code_spans(page) if re.fullmatch(r"warren(\.[a-z0-9]+)+", span)}

    assert named_here <= known


@every_written_page
def test_names_in_code_type_exist_in_the_sources(page: Path) -> None:
    names = {span for span in code_spans(page) if re.fullmatch(r"[a-z]+(_[a-z]+)+", span)} - FOREIGN - DATABASE
    suffixes = r"(_total|_bucket|_sum|_count)$"  # the exposition adds them

    assert {name for name in names if re.sub(suffixes, "", name) not in sources()} == set()


@every_written_page
def test_python_examples_are_python(page: Path) -> None:
    for language, body in _FENCE.findall(text_of(page)):
        if language == "python":
            ast.parse(body)


def test_the_namespace_file_in_the_documentation_is_valid() -> None:
    examples = [body for language, body in _FENCE.findall(text_of(ROOT / "docs/namespaces.md")) if language == "yaml"]

    assert examples
    for example in examples:
        assert list(parse_namespaces(example))


def test_the_generated_pages_are_what_the_code_says() -> None:
    assert outdated(ROOT) == []


@every_record
def test_a_decision_fits_on_a_page(record: Path) -> None:
    assert len(text_of(record).split()) <= PAGE_WORDS


@every_record
def test_a_decision_names_what_enforces_it(record: Path) -> None:
    last = text_of(record).strip().split("\n\n")[-1]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    contracts = {contract["id"] for contract in project["tool"]["importlinter"]["contracts"]}

    assert last.startswith("Enforced by:")
    guards = _CODE.findall(last)
    assert guards
    for guard in guards:
        path, _, test = guard.partition("::")
        assert guard in contracts or (ROOT / path).exists(), guard
        assert not test or f"def {test}(" in (ROOT / path).read_text("utf-8"), guard


@every_record
def test_a_decision_is_in_the_index_under_its_number(record: Path) -> None:
    number = record.name[:4]

    assert text_of(record).startswith(f"# {number}: ")
    assert f"[{number}]({record.name})" in text_of(ROOT / "docs/adr/README.md")


def test_the_architecture_lists_the_import_contracts_that_are_run() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    contracts = {contract["id"] for contract in project["tool"]["importlinter"]["contracts"]}
    section = text_of(ROOT / "ARCHITECTURE.md").partition("## Layers")[2].partition("## The broker")[0]
    rows = "\n".join(line for line in section.splitlines() if line.startswith("| `"))

    assert contracts <= set(_CODE.findall(rows))
