"""The API's OpenAPI 3.1 document, made from the very types that requests are read into."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from warren_api.domain import requests as asked

_REQUESTS: Final[Mapping[str, type[Struct]]] = {
    "publish": asked.PublishRequest,
    "broadcast": asked.BroadcastRequest,
    "subscribe": asked.SubscribeRequest,
    "unsubscribe": asked.UnsubscribeRequest,
    "disconnect": asked.DisconnectRequest,
    "refresh": asked.RefreshRequest,
    "presence": asked.PresenceRequest,
    "presence_stats": asked.PresenceStatsRequest,
    "history": asked.HistoryRequest,
    "history_remove": asked.HistoryRemoveRequest,
    "info": asked.InfoRequest,
    "channels": asked.ChannelsRequest,
    "batch": asked.BatchRequest,
}
_ANY: Final = {"type": "object", "additionalProperties": True}
_NUMBER: Final = {"type": "integer", "minimum": 0}
_TEXT: Final = {"type": "string"}


def _object(required: Mapping[str, Any], optional: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "properties": {**required, **(optional or {})}}


def _map_of(value: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": value}


def _list_of(value: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": value}


_ERROR: Final = _object({"error": {"$ref": "#/components/schemas/Error"}})
_NOTHING: Final = {"type": "object", "additionalProperties": False}
_CLIENT_INFO: Final = _object({"client": _TEXT, "user": _TEXT}, {"conn_info": {}, "chan_info": {}})
_PUBLICATION: Final = _object(
    {"offset": _NUMBER, "data": {}}, {"b64data": _TEXT, "tags": _map_of(_TEXT), "info": _CLIENT_INFO}
)
_NODE: Final = _object(
    {
        "uid": _TEXT, "name": _TEXT, "version": _TEXT, "num_clients": _NUMBER, "num_users": _NUMBER,
        "num_subs": _NUMBER, "num_channels": _NUMBER, "uptime": _NUMBER,
    }
)  # fmt: skip
_RESULTS: Final[Mapping[str, dict[str, Any]]] = {
    "broadcast": _object({"responses": _list_of({"oneOf": [_object({"result": _NOTHING}), _ERROR]})}),
    "presence": _object({"presence": _map_of(_CLIENT_INFO)}),
    "presence_stats": _object({"num_clients": _NUMBER, "num_users": _NUMBER}),
    "history": _object({"publications": _list_of(_PUBLICATION), "offset": _NUMBER, "epoch": _TEXT}),
    "info": _object({"nodes": _list_of(_NODE)}),
    "channels": _object({"channels": _map_of(_object({"num_clients": _NUMBER}))}),
}
"""What a method returns, where that is more than nothing."""


def document() -> dict[str, Any]:
    """Return the document."""
    _, components = msgspec.json.schema_components(list(_REQUESTS.values()), ref_template="#/components/schemas/{name}")
    components["Error"] = _object({"code": {"type": "integer"}, "message": _TEXT})
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Warren's HTTP API",
            "version": "1",
            "description": "Publish, ask and order over HTTP. Errors of a method come with status 200 and `error`; "
            "other statuses mean that nothing was carried out.",
        },
        "security": [{"key": []}, {"authorization": []}],
        "paths": {f"/api/{name}": {"post": _operation(name, request)} for name, request in _REQUESTS.items()},
        "components": {
            "schemas": components,
            "securitySchemes": {
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                "authorization": {
                    "type": "apiKey", "in": "header", "name": "Authorization", "description": "`apikey KEY`",
                },
            },
        },
    }  # fmt: skip


def _operation(name: str, request: type[Struct]) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{request.__name__}"}
    return {
        "operationId": name,
        "summary": (request.__doc__ or "").strip(),
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
        "responses": {
            "200": _response("The method's result, or its error.", _reply(name)),
            "400": _response("The body is no JSON object, or the batch cannot be read.", _ERROR),
            "401": _response("No API key, or a wrong one.", _ERROR),
            "413": _response("The body is too large.", _ERROR),
            "503": _response("Too many requests are in hand: try again in a second.", _ERROR),
        },
    }


def _reply(name: str) -> dict[str, Any]:
    if name == "batch":
        return _object({"replies": _list_of(_ANY)})
    return {"oneOf": [_object({"result": _RESULTS.get(name, _NOTHING)}), _ERROR]}


def _response(description: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}
