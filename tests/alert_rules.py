"""The alert rules of infra/prometheus, and which metrics and labels they name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

FOLDER: Final = Path(__file__).resolve().parents[1] / "infra/prometheus"
RULES_FILE: Final = FOLDER / "warren.rules.yml"
SCRAPES_FILE: Final = FOLDER / "prometheus.yml"
TESTS_FILE: Final = FOLDER / "warren.tests.yml"
"""For promtool: series, and which alerts they raise."""

_SELECTOR: Final = re.compile(r"\b((?:warren|rabbitmq)_\w+|up\b)(?:\{([^}]*)\})?")
_MATCHER: Final = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"')
_GROUPING: Final = re.compile(r"\bby \(([^)]*)\)")


@dataclass(frozen=True, slots=True)
class Selector:
    """One metric an expression reads."""

    metric: str
    matchers: tuple[tuple[str, str], ...]
    """(label, what it is compared with)."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One rule."""

    name: str
    expression: str
    annotations: Mapping[str, str]

    @property
    def selectors(self) -> list[Selector]:
        """What the expression reads."""
        return [
            Selector(metric, tuple(_MATCHER.findall(matchers)))
            for metric, matchers in _SELECTOR.findall(self.expression)
        ]

    @property
    def grouped_by(self) -> set[str]:
        """The labels it sums by."""
        return {label.strip() for group in _GROUPING.findall(self.expression) for label in group.split(",")}


def alerts() -> list[Alert]:
    """Return every alert."""
    return list(_alerts(yaml.safe_load(RULES_FILE.read_text("utf-8"))))


def _alerts(document: Mapping[str, Any]) -> Iterator[Alert]:
    for group in document["groups"]:
        for rule in group["rules"]:
            yield Alert(rule["alert"], rule["expr"], rule["annotations"])
