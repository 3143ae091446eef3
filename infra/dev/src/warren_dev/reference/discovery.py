"""Finds what is documented in the code: contracts, metrics, settings and what their fields mean."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import textwrap
from collections.abc import Iterator
from enum import StrEnum
from itertools import pairwise
from types import ModuleType
from typing import Final

from pydantic import BaseModel

import warren_shared
import warren_shared.contracts
from warren_shared.contracts.envelope import Message
from warren_shared.observability.metrics import MetricSpec
from warren_shared.runtime.settings import ServiceSettings

SERVICES: Final = ("gateway", "api", "auth", "presence", "history", "console")


def message_types() -> list[type[Message]]:
    """Return every message between services, in the order of their type names."""
    found: dict[str, type[Message]] = {}
    for module in _modules_under(warren_shared.contracts):
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, Message) and "type_name" in vars(value):
                found[value.type_name] = value
    return [found[name] for name in sorted(found)]


def contract_words() -> list[type[StrEnum]]:
    """Return the enums of the contracts: words that go over the wire."""
    found: dict[str, type[StrEnum]] = {}
    for module in _modules_under(warren_shared.contracts):
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, StrEnum) and value is not StrEnum:
                found[value.__name__] = value
    return [found[name] for name in sorted(found)]


def shared_metrics() -> list[MetricSpec]:
    """Return the metrics that the plumbing counts in every service."""
    specs: dict[str, MetricSpec] = {}
    for module in _modules_under(warren_shared):
        specs.update((spec.name, spec) for spec in vars(module).get("CATALOGUE", ()))
    return [specs[name] for name in sorted(specs)]


def service_metrics(service: str) -> tuple[MetricSpec, ...]:
    """Return a service's own metrics, in its own order."""
    catalogue: tuple[MetricSpec, ...] = importlib.import_module(f"warren_{service}.metrics").CATALOGUE
    return tuple(catalogue)


def service_settings(service: str) -> type[ServiceSettings]:
    """Return the settings class of a service."""
    module = importlib.import_module(f"warren_{service}.settings")
    prefix = f"WARREN_{service.upper()}_"
    for value in vars(module).values():
        if (
            isinstance(value, type)
            and issubclass(value, ServiceSettings)
            and value.model_config.get("env_prefix") == prefix
        ):
            return value
    raise LookupError(f"warren_{service}.settings has no settings with the prefix {prefix}")


def field_notes(model: type[BaseModel]) -> dict[str, str]:
    """Return what the fields of a model mean: their descriptions, or the strings written below them."""
    notes: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if issubclass(base, BaseModel) and base is not BaseModel:
            notes.update(_attribute_docstrings(base))
    for name, field in model.model_fields.items():
        if field.description:
            notes[name] = field.description
    return {name: notes[name] for name in model.model_fields if name in notes}


def _attribute_docstrings(model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    tree = ast.parse(textwrap.dedent(inspect.getsource(model))).body[0]
    body = tree.body if isinstance(tree, ast.ClassDef) else []
    for statement, following in pairwise(body):
        match statement, following:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str() as text)):
                yield name, inspect.cleandoc(text)


def _modules_under(package: ModuleType) -> Iterator[ModuleType]:
    for found in sorted(pkgutil.walk_packages(package.__path__, f"{package.__name__}."), key=lambda info: info.name):
        yield importlib.import_module(found.name)
