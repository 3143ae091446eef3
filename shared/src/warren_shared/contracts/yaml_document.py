"""Reads YAML that a person wrote: a key that is given twice is a mistake, not an override."""

from __future__ import annotations

from typing import Any

import yaml


class RepeatedKeyError(ValueError):
    """A mapping has a key twice, of which PyYAML would silently take the last (YAML 1.2 section 3.2.1.1 forbids it)."""


class _Loader(yaml.SafeLoader):
    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        # Here and not where values are made: "<<" has been merged there, and what it brings may be overridden.
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        seen: set[tuple[str, str]] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if (key.tag, key.value) in seen:
                    raise RepeatedKeyError(f"line {key.start_mark.line + 1}: the key {key.value!r} is given twice")
                seen.add((key.tag, key.value))
        return node


def load_yaml(text: str) -> object:
    """Return the document. Raises RepeatedKeyError, or what PyYAML does: YAMLError, ValueError, RecursionError."""
    return yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
