"""docs/reference/settings.md: every setting of every service."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from warren_dev.reference.discovery import SERVICES, service_settings
from warren_dev.reference.markdown import code, page, prose, table
from warren_dev.reference.schemas import type_text
from warren_shared.runtime.settings import ServiceSettings

_INTRODUCTION = """
Services are configured by environment variables alone. Those all services have are read as `WARREN_<NAME>` and, for
one service only, as `WARREN_<SERVICE>_<NAME>`, which comes first. An empty variable counts as unset. A wrong value
ends the process with one line that names the variable, and exit code 78.

Tracing is configured by OpenTelemetry's own variables, such as `OTEL_EXPORTER_OTLP_ENDPOINT`
([docs/tracing.md](../tracing.md)); namespaces by a file ([docs/namespaces.md](../namespaces.md)).
"""


def settings_page() -> str:
    """Return the page."""
    blocks = ["## Every service", table(["variable", "type", "default", "meaning"], _common())]
    for service in SERVICES:
        blocks += [f"## {service.capitalize()}", table(["variable", "type", "default", "meaning"], _own(service))]
    return page("Settings", _INTRODUCTION, *blocks)


def variables() -> frozenset[str]:
    """Return every environment variable a service reads."""
    names = {_variable("WARREN_", name) for name in ServiceSettings.model_fields}
    for service in SERVICES:
        prefix = f"WARREN_{service.upper()}_"
        names |= {_variable(prefix, name) for name in service_settings(service).model_fields}
    return frozenset(names)


def _common() -> Iterator[Sequence[str]]:
    return _rows("WARREN_", ServiceSettings, ServiceSettings.model_fields)


def _own(service: str) -> Iterator[Sequence[str]]:
    settings = service_settings(service)
    common = ServiceSettings.model_fields
    names = [
        name
        for name, field in settings.model_fields.items()
        if name not in common or field.default != common[name].default or field.description != common[name].description
    ]
    return _rows(f"WARREN_{service.upper()}_", settings, names)


def _rows(prefix: str, settings: type[ServiceSettings], names: Iterable[str]) -> Iterator[Sequence[str]]:
    properties = settings.model_json_schema()["properties"]
    for name in names:
        field = settings.model_fields[name]
        yield code(_variable(prefix, name)), _kind(properties[name]), _default(field), prose(field.description or "")


def _variable(prefix: str, name: str) -> str:
    return f"{prefix}{name}".upper()


def _kind(schema: dict[str, Any]) -> str:
    low, above, high = schema.get("minimum"), schema.get("exclusiveMinimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f"{type_text(schema)}, {low:.12g} to {high:.12g}"
    bounds = (("from", low), ("above", above), ("at most", high))
    return ", ".join([type_text(schema), *(f"{word} {bound:.12g}" for word, bound in bounds if bound is not None)])


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    text = _plain(field.default)
    return "unset" if text is None else code(text) or "empty"


def _plain(value: Any) -> str | None:
    match value:
        case None:
            text = None
        case SecretStr():
            text = value.get_secret_value()
        case Path():
            text = value.as_posix()
        case bool():
            text = str(value).lower()
        case float():
            text = f"{value:g}"
        case tuple() | list() | frozenset():
            text = json.dumps(list(value)) if value else ""
        case _:
            text = str(value)
    return text
