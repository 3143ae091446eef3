"""Every generated file, and whether those of a checkout are what the code says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from warren_dev.reference.asyncapi import asyncapi_yaml
from warren_dev.reference.codes import codes_page
from warren_dev.reference.messages import messages_page
from warren_dev.reference.metrics import metrics_page
from warren_dev.reference.namespace_options import namespaces_page
from warren_dev.reference.settings import settings_page
from warren_dev.reference.topology import definitions_json, topology_page

DOCUMENTS: Final[Mapping[str, Callable[[], str]]] = {
    "docs/reference/messages.md": messages_page,
    "docs/reference/topology.md": topology_page,
    "docs/reference/metrics.md": metrics_page,
    "docs/reference/settings.md": settings_page,
    "docs/reference/codes.md": codes_page,
    "docs/reference/namespaces.md": namespaces_page,
    "docs/reference/asyncapi.yaml": asyncapi_yaml,
    "infra/rabbitmq/definitions.json": definitions_json,
}
"""What makes each file, by its path from the root of the repository."""


def write(root: Path) -> list[str]:
    """Write the files that differ and return their paths."""
    changed = outdated(root)
    for path in changed:
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(DOCUMENTS[path](), "utf-8")
    return changed


def outdated(root: Path) -> list[str]:
    """Return the paths of the files that are missing or not what the code says."""
    return [path for path, make in DOCUMENTS.items() if _text(root / path) != make()]


def _text(file: Path) -> str | None:
    return file.read_text("utf-8") if file.exists() else None
