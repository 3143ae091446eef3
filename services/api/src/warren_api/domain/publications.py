"""From a request to publish to a publication that history and gateways will take."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass

from warren_api.domain.channels import known_channel
from warren_api.domain.rejection import RejectionError
from warren_api.domain.requests import PublishRequest
from warren_shared.contracts.codes import Errors
from warren_shared.contracts.envelope import ContractError
from warren_shared.contracts.namespaces import NamespaceOptions, Namespaces
from warren_shared.contracts.publication import MAX_MESSAGE_ID_BYTES, TAG_PREFIX, check_payload, tags_of


@dataclass(frozen=True, slots=True)
class Publication:
    """A publication that has been checked."""

    channel: str
    data: bytes
    binary: bool
    durable: bool
    headers: Mapping[str, str]
    """Its tags, as AMQP headers."""
    message_id: str | None


def publication_of(request: PublishRequest, namespaces: Namespaces) -> Publication:
    """Check a request. Raises RejectionError: whatever history or a gateway would refuse is refused here."""
    options = known_channel(request.channel, namespaces)
    if request.skip_history and options.durable:
        raise RejectionError(Errors.NOT_AVAILABLE, "skip_history on a namespace with history")
    data = _payload(request)
    try:
        check_payload(data, options.publication_data_format)
    except ContractError as error:
        raise RejectionError(Errors.BAD_REQUEST, f"data: {error}") from error
    return Publication(
        request.channel,
        data,
        _is_binary(options),
        options.durable,
        _tag_headers(request.tags or {}),
        _message_id(request.idempotency_key),
    )


def _is_binary(options: NamespaceOptions) -> bool:
    return options.publication_data_format == "binary"


def _payload(request: PublishRequest) -> bytes:
    if request.b64data is None:
        if not (data := bytes(request.data)):
            raise RejectionError(Errors.BAD_REQUEST, "data is missing")
        return data
    try:
        return base64.b64decode(request.b64data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RejectionError(Errors.BAD_REQUEST, "b64data is no base64") from error


def _tag_headers(tags: Mapping[str, str]) -> dict[str, str]:
    headers = {f"{TAG_PREFIX}{name}": value for name, value in tags.items()}
    if any(len(name.encode()) > MAX_MESSAGE_ID_BYTES for name in headers):
        raise RejectionError(Errors.BAD_REQUEST, "tags: a name is too long")
    try:
        tags_of(headers)
    except ContractError as error:
        raise RejectionError(Errors.BAD_REQUEST, f"tags: {error}") from error
    return headers


def _message_id(key: str | None) -> str | None:
    if key and len(key.encode()) > MAX_MESSAGE_ID_BYTES:
        raise RejectionError(Errors.BAD_REQUEST, f"idempotency_key is longer than {MAX_MESSAGE_ID_BYTES} bytes")
    return key or None
