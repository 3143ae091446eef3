"""docs/reference/messages.md: every message between services."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel

from warren_dev.reference.calls import CALLS_TEXT, call_headers
from warren_dev.reference.discovery import field_notes, message_types
from warren_dev.reference.markdown import code, page, prose, table
from warren_dev.reference.publications import HEADER_MEANINGS
from warren_dev.reference.routes import DEFAULT_EXCHANGE, Route, answered_by, routes_of
from warren_dev.reference.schemas import Schema, message_schemas, nested_models, type_text
from warren_shared.contracts import pack, publication
from warren_shared.contracts.envelope import Message

_INTRODUCTION = """
Every message between services is one JSON object with a `type` and a version `v`, next to the fields below. Fields
at their default are left out; fields a reader does not know are ignored. A reader refuses a type it does not know
and a `v` above the one it understands. How contracts may change: [CONTRIBUTING.md](../../CONTRIBUTING.md).

Publications are not wrapped: the AMQP body is the payload itself and everything else is in properties and headers
([docs/backends.md](../backends.md)). The same contracts as a document for tools: [asyncapi.yaml](asyncapi.yaml).
"""

_HEADERS_TEXT = f"""
Headers of a publication. A backend may set the tags and the trace context, the rest is Warren's. Payloads are at most
{publication.MAX_PAYLOAD_BYTES:,} bytes, with at most {publication.MAX_TAGS} tags and a `message_id` of at most
{publication.MAX_MESSAGE_ID_BYTES} bytes. On `warren.deliver` the property `type` tells what a delivery is:
{", ".join(f"`{kind}`" for kind in publication.DeliverType)}; without it a delivery is a publication.
"""

_PACKS_TEXT = f"""
What history appended together it sends together: as a delivery of type `{publication.DeliverType.PACK}`, with at most
{pack.MAX_PACK_PUBLICATIONS} publications and {pack.MAX_PACK_BYTES:,} bytes of them, under the routing key of their
channel; where `bind_namespace` is set, under the namespace's name alone (`_` for channels without one), which is no
channel's key. A publication that has nothing to go with is a message of its own. The body is no JSON. Numbers are
big-endian, texts UTF-8, sizes bytes; a size without a name is that of all behind the semicolon. A reader skips what is
"more" to it.
"""


def messages_page() -> str:
    """Return the page."""
    types = message_types()
    schemas, parts = message_schemas(types, ref_template="#/{model}")
    sections = [_section(model, schemas[model.type_name]) for model in types]
    made_of = [_part(model, parts[model.__name__]) for model in nested_models(types)]
    words = [_word(name, part) for name, part in parts.items() if "enum" in part]
    return page(
        "Messages between services",
        _INTRODUCTION,
        "## All messages",
        table(["type", "v", "what it says"], _overview(types)),
        *sections,
        "## What messages are made of",
        *made_of,
        *words,
        "## Publications",
        _HEADERS_TEXT,
        table(["header", "type", "set by", "meaning"], _headers()),
        "## Packs",
        _PACKS_TEXT,
        f"```text{pack.LAYOUT}```",
        "## Calls of backends",
        CALLS_TEXT,
        table(["header", "type", "set by", "meaning"], call_headers()),
    )


def _overview(types: Sequence[type[Message]]) -> Iterator[Sequence[str]]:
    for model in types:
        anchor = model.type_name.replace(".", "")
        yield f"[`{model.type_name}`](#{anchor})", str(model.contract_version), _summary(model)


def _headers() -> Iterator[Sequence[str]]:
    for header, (kind, setter, meaning) in HEADER_MEANINGS.items():
        yield code(header), kind, setter, meaning
    yield code(f"{publication.TAG_PREFIX}<name>"), "string", "anyone", "A tag of the publication."


def _section(model: type[Message], schema: Schema) -> str:
    ways = [_way(route) for route in routes_of(model)] + [_answer(route) for route in answered_by(model)]
    fields = {name: field for name, field in schema["properties"].items() if name not in ("type", "v")}
    described = table(["field", "type", "default", "meaning"], _fields(model, schema, fields))
    return "\n\n".join(
        [f"### {model.type_name}", _text(model), "\n".join(f"- {way}" for way in ways), described if fields else ""]
    ).strip()


def _part(model: type[BaseModel], schema: Schema) -> str:
    described = table(["field", "type", "default", "meaning"], _fields(model, schema, schema["properties"]))
    return "\n\n".join([f"### {model.__name__}", _text(model), described])


def _word(name: str, part: Schema) -> str:
    return "\n\n".join([f"### {name}", prose(part.get("description", "")), "One of " + type_text(part) + "."])


def _way(route: Route) -> str:
    place = (
        f"straight to the queue `{route.key}`"
        if route.exchange == DEFAULT_EXCHANGE
        else f"on `{route.exchange}` under `{route.key}`"
    )
    way = f"{route.sender} to {route.receiver}, {place}"
    replies = ", ".join(f"`{reply.type_name}`" for reply in route.replies)
    return f"{way}; answered by {replies}" if replies else way


def _answer(route: Route) -> str:
    return f"{route.receiver} to {route.sender}, answers `{route.message.type_name}`"


def _fields(model: type[BaseModel], schema: Schema, fields: dict[str, Any]) -> Iterator[Sequence[str]]:
    notes = field_notes(model)
    for name, field in fields.items():
        default = "required" if name in schema.get("required", ()) else code(_default(field))
        yield code(name), type_text(field), default, prose(notes.get(name, ""))


def _default(field: Schema) -> str:
    match field.get("default"):
        case None:
            return "null" if "anyOf" in field else "{}" if field.get("type") == "object" else "[]"
        case bool() as value:
            return str(value).lower()
        case "":
            return '""'
        case value:
            return str(value)


def _text(model: type[BaseModel]) -> str:
    return prose(model.__doc__ or "")


def _summary(model: type[BaseModel]) -> str:
    return prose((model.__doc__ or "").strip().splitlines()[0])
