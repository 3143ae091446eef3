"""Which deliveries become publications, and why the others do not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

import orjson

from warren_history.domain.publications import Content, NewPublication, Retention
from warren_shared.contracts.channels import ChannelNameError, channel_of, check_channel, namespace_of
from warren_shared.contracts.envelope import ContractError
from warren_shared.contracts.namespaces import Namespaces
from warren_shared.contracts.publication import (
    MAX_INFO_BYTES,
    MAX_MESSAGE_ID_BYTES,
    MAX_PAYLOAD_BYTES,
    Header,
    check_payload,
    tags_of,
)

BINARY_FORMAT: Final = "binary"
_ROUTES_REMEMBERED: Final = 16_384


class Reason(StrEnum):
    """Why a delivery was rejected; the value labels the metric and the dead letter."""

    BAD_ROUTING_KEY = "bad_routing_key"
    BAD_CHANNEL = "bad_channel"
    UNKNOWN_NAMESPACE = "unknown_namespace"
    NOT_DURABLE = "namespace_not_durable"
    TOO_LARGE = "too_large"
    BAD_PAYLOAD = "bad_payload"
    BAD_TAGS = "bad_tags"
    BAD_INFO = "bad_info"
    BAD_MESSAGE_ID = "bad_message_id"
    NOT_STORED = "not_stored"  # admitted, but the store fails on it
    DEADLY = "deadly"  # history died whenever it had it in hand


@dataclass(frozen=True, slots=True)
class Rejected:
    """A delivery that is not stored."""

    reason: Reason
    detail: str
    """One line for a person; holds no payload."""


@dataclass(frozen=True, slots=True)
class _Route:
    channel: str
    data_format: str
    retention: Retention


class Admission:
    """Decides on deliveries under one set of namespaces."""

    def __init__(self, namespaces: Namespaces) -> None:
        self._namespaces = namespaces
        self._retentions = {
            name: Retention.of(options) for name, options in namespaces.by_name.items() if options.durable
        }
        # A routing key's fate depends on the namespaces alone, and busy channels come again.
        self._route = lru_cache(maxsize=_ROUTES_REMEMBERED)(self._find_route)

    def admit(
        self,
        routing_key: str,
        body: bytes,
        headers: Mapping[str, object],
        *,
        message_id: str | None = None,
        content_type: str | None = None,
    ) -> NewPublication | Rejected:
        """Return the publication a delivery is, or why it is none. Never raises."""
        route = self._route(routing_key)
        if isinstance(route, Rejected):
            return route
        if message_id and _bytes_in(message_id) > MAX_MESSAGE_ID_BYTES:
            return Rejected(Reason.BAD_MESSAGE_ID, f"message id is longer than {MAX_MESSAGE_ID_BYTES} bytes")
        content = _content(body, headers, content_type, route.data_format)
        if isinstance(content, Rejected):
            return content
        return NewPublication(route.channel, content, route.retention, message_id or None)

    def _find_route(self, routing_key: str) -> _Route | Rejected:
        try:
            channel = channel_of(routing_key)
        except ChannelNameError as error:
            return Rejected(Reason.BAD_ROUTING_KEY, str(error))
        try:
            check_channel(channel)
        except ChannelNameError as error:
            return Rejected(Reason.BAD_CHANNEL, str(error))
        namespace = namespace_of(channel)
        options = self._namespaces.by_name.get(namespace)
        if options is None:
            return Rejected(Reason.UNKNOWN_NAMESPACE, f"there is no namespace {namespace!r}")
        if not options.durable:
            return Rejected(Reason.NOT_DURABLE, f"namespace {namespace!r} keeps no history")
        return _Route(channel, options.publication_data_format, self._retentions[namespace])


def _content(
    body: bytes, headers: Mapping[str, object], content_type: str | None, data_format: str
) -> Content | Rejected:
    if len(body) > MAX_PAYLOAD_BYTES:
        return Rejected(Reason.TOO_LARGE, f"payload of {len(body)} bytes is over {MAX_PAYLOAD_BYTES}")
    try:
        check_payload(body, data_format)
    except ContractError as error:
        return Rejected(Reason.BAD_PAYLOAD, str(error))
    binary = data_format == BINARY_FORMAT
    if not headers:
        return Content(body, binary, content_type)
    try:
        tags = tags_of(headers)
    except ContractError as error:
        return Rejected(Reason.BAD_TAGS, str(error))
    info = headers.get(Header.INFO)
    if info is not None and not _is_json_object(info):
        return Rejected(Reason.BAD_INFO, f"header {Header.INFO.value!r} is no JSON object")
    return Content(body, binary, content_type, str(info) if info is not None else None, tags)


def _is_json_object(text: object) -> bool:
    # Gateways embed it as it is into what they write to clients.
    if not isinstance(text, str) or _bytes_in(text) > MAX_INFO_BYTES:
        return False
    try:
        return isinstance(orjson.loads(text), dict)
    except orjson.JSONDecodeError:
        return False


def _bytes_in(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
