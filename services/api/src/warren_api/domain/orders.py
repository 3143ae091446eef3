"""From requests about users to the orders that gateways take on ``warren.control``."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import orjson
from pydantic import ValidationError

from warren_api.domain.channels import known_channel
from warren_api.domain.rejection import RejectionError
from warren_api.domain.requests import (
    DisconnectRequest,
    RefreshRequest,
    SubscribeRequest,
    UnsubscribeRequest,
)
from warren_shared.contracts.codes import Errors
from warren_shared.contracts.control import (
    MAX_ORDER_BYTES,
    DisconnectOrder,
    Order,
    RefreshOrder,
    SubscribeOrder,
    UnsubscribeOrder,
)
from warren_shared.contracts.json_text import deeper_than
from warren_shared.contracts.namespaces import Namespaces
from warren_shared.topology.catalogue import ControlKey

_DEEPEST: Final = 32
"""Levels of nesting in ``info`` and ``data``, as in tokens: they travel through parsers of every client."""
AboutUser = SubscribeRequest | UnsubscribeRequest | DisconnectRequest | RefreshRequest

KEYS: Final[Mapping[type[Order], ControlKey]] = {
    DisconnectOrder: ControlKey.USER_DISCONNECT,
    UnsubscribeOrder: ControlKey.USER_UNSUBSCRIBE,
    RefreshOrder: ControlKey.USER_REFRESH,
    SubscribeOrder: ControlKey.USER_SUBSCRIBE,
}
"""Under which key each order is published."""


def order_of(request: AboutUser, namespaces: Namespaces) -> Order:
    """Return the order. Raises RejectionError where a gateway would refuse it, or could not do all it asks."""
    if isinstance(request, SubscribeRequest | UnsubscribeRequest):
        known_channel(request.channel, namespaces)
    try:
        order = _order_of(request)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        told = first["msg"].removeprefix("Value error, ")
        raise RejectionError(Errors.BAD_REQUEST, f"{where}: {told}" if where else told) from error
    if len(order.encode()) > MAX_ORDER_BYTES:
        raise RejectionError(Errors.BAD_REQUEST, f"larger than {MAX_ORDER_BYTES} bytes")
    return order


def _order_of(request: AboutUser) -> Order:
    match request:
        case SubscribeRequest():
            if unsupported := request.unsupported():
                raise RejectionError(Errors.NOT_AVAILABLE, unsupported)
            info = _json("info", request.info, request.b64info)
            data = _json("data", request.data, request.b64data)
            return SubscribeOrder(**_whom(request), channel=request.channel, info=info, data=data)
        case UnsubscribeRequest():
            return UnsubscribeOrder(**_whom(request), channel=request.channel)
        case DisconnectRequest():
            return DisconnectOrder(**_whom(request), whitelist=tuple(request.whitelist or ()), **_told(request))
        case RefreshRequest():
            return RefreshOrder(
                **_whom(request),
                expired=bool(request.expired),
                expire_at=request.expire_at,
                info=_json("info", request.info),
            )


def _whom(request: AboutUser) -> dict[str, Any]:
    return {"user": request.user or None, "client": request.client or None, "session": request.session or None}


def _told(request: DisconnectRequest) -> dict[str, Any]:
    if request.disconnect is None:
        return {}
    return {"code": request.disconnect.code, "reason": request.disconnect.reason or None}


def _json(name: str, plain: msgspec.Raw, in_base64: str | None = None) -> Any:
    """Return a field's document; the one in base64 goes before the plain one. Raises RejectionError."""
    try:
        text = bytes(plain) if in_base64 is None else b64decode(in_base64, validate=True)
        document = orjson.loads(text) if text else None
    except ValueError as error:
        raise RejectionError(Errors.BAD_REQUEST, f"{name}: is no JSON that can be passed on") from error
    if deeper_than(orjson.dumps(document), _DEEPEST):
        raise RejectionError(Errors.BAD_REQUEST, f"{name}: is nested deeper than {_DEEPEST} levels")
    return document
