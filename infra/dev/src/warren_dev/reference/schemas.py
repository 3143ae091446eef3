"""The JSON schemas of the contracts, with the meaning of every field."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from warren_dev.reference.discovery import field_notes
from warren_shared.contracts.envelope import Message

Schema = dict[str, Any]


def message_schemas(
    types: Iterable[type[Message]], *, ref_template: str
) -> tuple[dict[str, Schema], dict[str, Schema]]:
    """Return (schemas of the messages by type name, schemas of what they are made of by class name)."""
    types = tuple(types)
    mapping, definitions = models_json_schema([(model, "validation") for model in types], ref_template=ref_template)
    parts: dict[str, Schema] = definitions.get("$defs", {})
    messages: dict[str, Schema] = {}
    for model in types:
        name = str(mapping[model, "validation"]["$ref"]).rpartition("/")[2]
        messages[model.type_name] = _as_written(model, parts.pop(name))
    for part in nested_models(types):
        _annotate(part, parts[part.__name__])
    return messages, {name: _tidy(parts[name]) for name in sorted(parts)}


def nested_models(types: Iterable[type[BaseModel]]) -> list[type[BaseModel]]:
    """Return the models that occur in the fields of ``types``, at any depth, in order of their names."""
    found: dict[str, type[BaseModel]] = {}
    waiting: list[type[BaseModel]] = list(types)
    while waiting:
        for field in waiting.pop().model_fields.values():
            for model in _models_in(field.annotation):
                if model.__name__ not in found:
                    found[model.__name__] = model
                    waiting.append(model)
    return [found[name] for name in sorted(found)]


def type_text(schema: Mapping[str, Any]) -> str:
    """Return a schema's type in a few words, as for a table."""
    match schema:
        case {"$ref": str() as reference}:
            text = reference.rpartition("/")[2]
        case {"anyOf": choices}:
            text = " or ".join(map(type_text, choices))
        case {"enum": values}:
            text = " or ".join(f'"{value}"' for value in values)
        case {"type": "array", "items": items}:
            text = f"array of {type_text(items)}"
        case {"type": "object", "additionalProperties": dict() as values}:
            text = f"object of {type_text(values)}"
        case {"type": str() as name}:
            text = name
        case _:
            text = "any"
    return text


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in getattr(annotation, "__args__", ()) for model in _models_in(argument)]


def _as_written(model: type[Message], schema: Schema) -> Schema:
    _annotate(model, schema)
    envelope: Schema = {
        "type": {"const": model.type_name},
        "v": {"type": "integer", "minimum": 1, "maximum": model.contract_version, "default": 1},
    }
    schema["properties"] = {**envelope, **schema.get("properties", {})}
    schema["required"] = ["type", *schema.get("required", [])]
    return _tidy(schema)


def _annotate(model: type[BaseModel], schema: Schema) -> None:
    for name, note in field_notes(model).items():
        schema["properties"][name]["description"] = " ".join(note.split())
    if model.__doc__:
        schema["description"] = " ".join(model.__doc__.split())


def _tidy(schema: Schema) -> Schema:
    """Leave out pydantic's titles: they repeat the names."""
    schema.pop("title", None)
    for field in schema.get("properties", {}).values():
        field.pop("title", None)
    return schema
