"""docs/reference/namespaces.md: every option of a namespace."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from warren_dev.reference.markdown import code, page, prose, table
from warren_dev.reference.schemas import type_text
from warren_shared.contracts.namespaces import NamespaceOptions

_DURATIONS = frozenset({"history_ttl", "history_meta_ttl"})
_INTRODUCTION = """
Options of one entry of the namespace file, next to its `name`. How they work together, and examples:
[docs/namespaces.md](../namespaces.md). Everything is off until it is switched on. A duration is a number of seconds or
text like `300s`, `10m`, `1h30m`, `30d`.
"""


def namespaces_page() -> str:
    """Return the page."""
    return page("Namespace options", _INTRODUCTION, table(["option", "type", "default", "meaning"], _options()))


def _options() -> Iterator[Sequence[str]]:
    properties = NamespaceOptions.model_json_schema()["properties"]
    for name, field in NamespaceOptions.model_fields.items():
        kind = "duration" if name in _DURATIONS else type_text(properties[name])
        yield code(name), kind, code(_default(name, field.default)), prose(field.description or "")


def _default(name: str, value: Any) -> str:
    if name in _DURATIONS and value:
        return f"{value / 86400:g}d"
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)
